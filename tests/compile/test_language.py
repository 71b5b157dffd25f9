"""What each field of the language does to the Deployment and to the units, and how it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from modelgrid.compile import compile_config
from modelgrid.diagnostics import Severity
from modelgrid.emit import emit
from modelgrid.emit.unitfile import parse_unit
from modelgrid.engines.builtin import Engine, builtin_engines
from modelgrid.engines.names import builtin_names, read_entry
from modelgrid.errors import ConfigError
from modelgrid.host.facts import Gpu, HostFacts, Vendor
from modelgrid.ir import Container, Credential, Manager, Mount, PodmanSecret, Resources, Scope, Selinux, Volume
from tests.compile.test_compiler import (
    CPU_HOST,
    GIB,
    GPU_HOST,
    LLAMA,
    NATIVE,
    codes,
    compiled,
    config,
    container,
    context,
    only_model,
    only_route,
    process,
)

if TYPE_CHECKING:
    from modelgrid.compile import Context
    from modelgrid.ir import Deployment, ModelServer

PODMAN_HOST = replace(CPU_HOST, podman=(4, 3, 1), systemd=252)
DOCKER_HOST = replace(CPU_HOST, programs=(*CPU_HOST.programs, ("docker", "/usr/bin/docker")))
DOCKER = {**LLAMA, "runtime": "docker"}
VLLM = {"engine": "vllm", "source": "hf://Org/Model"}


def found(models: dict[str, Any], at: Context | None = None, **sections: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """Code and path of everything that compiling has to say."""
    report = compile_config(config(models, **sections), at or context()).report
    return [(item.code, item.path) for item in report]


def unit(deployment: Deployment, slug: str) -> dict[tuple[str, str], tuple[str, ...]]:
    names = {f"modelgrid-model-{slug}.container", f"modelgrid-model-{slug}.service"}
    (text,) = (item.content for item in emit(deployment) if PurePosixPath(item.path).name in names)
    return dict(parse_unit(text))


def words(model: ModelServer) -> tuple[str, ...]:
    return model.launch.arguments if isinstance(model.launch, Container) else model.launch.argv


# --- several models on one server

OLLAMAS = ("llama3:8b", "qwen2.5:7b", "mistral", "phi3", "nomic-embed-text")


def shared_ollama(**fields: Any) -> dict[str, Any]:
    models: dict[str, Any] = {name: {"server": "o", "vram": "2GiB"} for name in OLLAMAS[:4]}
    models["embeddings"] = {"server": "o", "source": OLLAMAS[4], "task": "embed", "vram": "1GiB"}
    return {"models": models, "servers": {"o": {"engine": "ollama", **fields}}}


def test_five_models_on_one_ollama_are_one_server_with_five_pulls_and_one_claim() -> None:
    deployment = compiled(**shared_ollama(), at=context(GPU_HOST))
    (server,) = deployment.servers

    assert (server.name, server.engine) == ("o", "ollama")
    assert server.models == tuple(sorted((*OLLAMAS[:4], "embeddings")))
    assert sorted(argv[-1] for argv in container(server).after_start) == sorted(OLLAMAS)
    assert [claim.memory for claim in server.claims] == [9 * GIB]
    assert dict(server.environment)["OLLAMA_MAX_LOADED_MODELS"] == "5"


def test_each_model_on_a_shared_server_has_a_route_with_its_own_upstream_name() -> None:
    deployment = compiled(**shared_ollama(), at=context(GPU_HOST))
    routes = {route.name: route for route in deployment.routes}

    assert {name: route.upstream_model for name, route in routes.items()} == {
        **{name: name for name in OLLAMAS[:4]},
        "embeddings": "nomic-embed-text",
    }
    assert {route.endpoints for route in routes.values()} == {(deployment.servers[0].endpoint,)}
    assert routes["embeddings"].apis == ("/v1/embeddings",)
    assert "/v1/chat/completions" in routes["mistral"].apis


def test_memory_of_the_server_goes_before_that_of_its_models() -> None:
    (server,) = compiled(**shared_ollama(vram="20GiB"), at=context(GPU_HOST)).servers
    assert [claim.memory for claim in server.claims] == [20 * GIB]


def router(**fields: Any) -> dict[str, Any]:
    return {
        "models": {
            "small": {"server": "r", "source": "/srv/small.gguf"},
            "Org/Big": {"server": "r", "source": "/srv/big-00001-of-00002.gguf"},
            "packed": {"server": "r", "source": "package://tiny-gguf"},
        },
        "servers": {"r": {"engine": "llamacpp", **fields}},
    }


def test_a_router_finds_each_gguf_under_the_name_that_its_route_asks_for() -> None:
    deployment = compiled(**router(context=4096))
    (server,) = deployment.servers
    launch = container(server)
    routes = {route.name: route.upstream_model for route in deployment.routes}
    targets = [mount.target for mount in launch.mounts]
    big = routes["Org/Big"]

    assert launch.arguments[:4] == ("--models-dir", "/models", "--models-max", "3")
    assert "--model" not in launch.arguments
    assert "--alias" not in launch.arguments
    assert launch.arguments[-2:] == ("--ctx-size", "4096")
    assert (routes["small"], routes["packed"]) == ("small", "packed")
    assert targets == [
        "/models/small.gguf",
        # the folder of a split model has its name
        f"/models/{big}/big-00001-of-00002.gguf",
        f"/models/{big}/big-00002-of-00002.gguf",
        "/models/packed.gguf",
    ]
    assert launch.mounts[0] == Mount(source="/srv/small.gguf", target="/models/small.gguf")


@pytest.mark.parametrize("runtime", ["podman", "native"])
def test_an_infinity_lists_its_models_in_their_order(runtime: str) -> None:
    models = {
        "b": {"server": "i", "source": "hf://Org/Rank", "task": "rerank"},
        "a": {"server": "i", "source": "/srv/embed", "task": "embed"},
    }
    host = replace(CPU_HOST, programs=(("infinity_emb", "/usr/bin/infinity_emb"),))
    deployment = compiled(models, context(host), servers={"i": {"engine": "infinity", "runtime": runtime}})
    environment = dict(deployment.servers[0].environment)

    assert environment["INFINITY_SERVED_MODEL_NAME"] == "b;a"
    shown = "/srv/embed" if runtime == "native" else "/models/a/embed"
    assert environment["INFINITY_MODEL_ID"] == f"Org/Rank;{shown}"
    assert [(route.name, route.upstream_model, route.apis) for route in deployment.routes] == [
        ("a", "a", ("/v1/embeddings",)),
        ("b", "b", ("/v1/rerank",)),
    ]


def test_revisions_of_a_shared_server_stand_in_the_order_of_its_models() -> None:
    models = {name: {"server": "i", "source": f"hf://Org/{name}", "task": "embed"} for name in ("b", "a")}
    at = replace(context(), revision=lambda source: "1234" if source.value == "Org/a" else "")
    (server,) = compiled(models, at, servers={"i": {"engine": "infinity"}}).servers
    assert dict(server.environment)["INFINITY_REVISION"] == ";1234"


def test_a_source_that_would_read_as_two_is_refused() -> None:
    models = {"a": {"server": "i", "source": "/srv/a;b", "task": "embed"}}
    assert found(models, servers={"i": {"engine": "infinity"}}) == [("MG3018", ("models", "a", "source"))]


def test_an_engine_with_one_model_for_each_process_is_not_shared() -> None:
    models = {"a": {"server": "v", "source": "hf://a/b"}}
    assert found(models, servers={"v": {"engine": "vllm"}}) == [("MG3023", ("servers", "v", "engine"))]


def test_words_of_one_task_are_not_said_to_models_with_another() -> None:
    sections = router()
    sections["models"]["packed"]["task"] = "embed"
    assert found(**sections) == [("MG3019", ("models", "packed", "task"))]
    # where a task has no words of its own, tasks may be mixed
    assert found(**shared_ollama(), at=context(GPU_HOST)) == []


def test_a_router_on_the_host_has_no_folder_to_look_into() -> None:
    assert found(**router(runtime="native")) == [("MG4006", ("servers", "r", "runtime"))]


def test_a_model_and_a_server_may_have_one_name() -> None:
    models = {"o": {"engine": "ollama"}, "x": {"server": "o"}}
    assert len({server.unit for server in compiled(models, servers={"o": {"engine": "ollama"}}).servers}) == 2


# --- replicas, aliases, fallback, lifecycle


def test_replicas_are_servers_with_addresses_of_their_own_behind_one_route() -> None:
    deployment = compiled({"m": {**LLAMA, "replicas": 3}})
    (route,) = deployment.routes

    assert [server.slug for server in deployment.servers] == ["m", "m.2", "m.3"]
    assert deployment.servers[1].unit == "modelgrid-model-m.2.service"
    assert {server.models for server in deployment.servers} == {("m",)}
    assert len(set(route.endpoints)) == 3
    assert set(route.endpoints) == {server.endpoint for server in deployment.servers}


def test_replicas_on_the_host_have_ports_and_state_of_their_own() -> None:
    servers = compiled({"m": {"engine": "ollama", "runtime": "native", "replicas": 2}}).servers
    homes = {dict(server.environment)["HOME"] for server in servers}

    assert len({server.endpoint.port for server in servers}) == 2
    # each runs as a user of its own, who owns its folder
    assert homes == {"/var/lib/modelgrid/m", "/var/lib/modelgrid/m.2"}
    assert {f"/var/lib/{process(server).state_directory}" for server in servers} == homes


@pytest.mark.parametrize("scope", Scope)
def test_one_more_replica_moves_nothing(scope: Scope) -> None:
    models = {"m": {**LLAMA, "replicas": 2}, "n": LLAMA}
    before = {item.slug: item for item in compiled(models, context(scope=scope)).servers}
    after = {
        item.slug: item for item in compiled({**models, "m": {**LLAMA, "replicas": 3}}, context(scope=scope)).servers
    }

    assert set(after) - set(before) == {"m.3"}
    assert {slug: after[slug] for slug in before} == before


def test_replicas_take_a_gpu_each_where_one_has_no_room_for_two() -> None:
    servers = compiled({"m": {**LLAMA, "vram": "30GiB", "replicas": 2}}, context(GPU_HOST)).servers
    assert {server.claims[0].uuid for server in servers} == {"GPU-0", "GPU-1"}
    assert found({"m": {**LLAMA, "vram": "30GiB", "replicas": 3}}, context(GPU_HOST))[0][0] == "MG4001"


def test_a_fault_of_replicas_is_told_once() -> None:
    assert found({"m": {**NATIVE, "replicas": 3}}, context(replace(CPU_HOST, programs=()))) == [
        ("MG4005", ("models", "m", "runtime"))
    ]


def test_aliases_and_fallbacks_are_the_routes() -> None:
    models = {"m": {**LLAMA, "aliases": ["gpt"], "fallback": ["o", "n"]}, "n": LLAMA, "o": LLAMA}
    route = next(route for route in compiled(models).routes if route.name == "m")
    assert (route.aliases, route.fallback) == (("gpt",), ("o", "n"))


def test_what_is_started_on_demand_is_not_wanted_by_the_target() -> None:
    deployment = compiled({"m": {**LLAMA, "load": "on-demand"}, "n": LLAMA})
    assert ("Install", "WantedBy") not in unit(deployment, "m")
    assert unit(deployment, "n")["Install", "WantedBy"] == ("modelgrid.target",)


def test_models_that_do_not_fit_together_take_turns() -> None:
    later = {**LLAMA, "load": "on-demand", "vram": "40GiB", "gpus": [0]}
    deployment = compiled({"a": later, "b": later, "c": {**LLAMA, "vram": "4GiB", "gpus": [0]}}, context(GPU_HOST))
    a, b = unit(deployment, "a"), unit(deployment, "b")

    assert a["Unit", "Conflicts"] == ("modelgrid-model-b.service",)
    assert b["Unit", "Conflicts"] == ("modelgrid-model-a.service",)
    assert "modelgrid-model-b.service" in a["Unit", "After"]
    assert ("Unit", "Conflicts") not in unit(deployment, "c")


def test_engines_that_measure_free_memory_start_one_after_the_other() -> None:
    models = {name: {**VLLM, "vram": "10GiB", "gpus": [0]} for name in ("a", "b", "c")}
    deployment = compiled(models, context(GPU_HOST))
    after = {server.name: server.starts_after for server in deployment.servers}
    units = [f"modelgrid-model-{name}.service" for name in after]

    assert sorted(len(found) for found in after.values()) in ([0, 1, 1], [0, 1, 2])
    assert all(set(found) <= set(units) for found in after.values())
    chained = next(name for name, found in after.items() if found)
    assert set(after[chained]) <= set(unit(deployment, chained)["Unit", "After"])


def test_the_engine_frees_the_memory_of_an_idle_model_where_it_can() -> None:
    assert words(only_model({**LLAMA, "idle_unload": "15m"}))[-2:] == ("--sleep-idle-seconds", "900")
    ollama = dict(only_model({"engine": "ollama", "idle_unload": "90s"}).environment)
    assert ollama["OLLAMA_KEEP_ALIVE"] == "90s"
    assert dict(only_model({"engine": "ollama"}).environment)["OLLAMA_KEEP_ALIVE"] == "-1"
    assert found({"m": {**VLLM, "idle_unload": "15m"}}) == [("MG4007", ("models", "m", "idle_unload"))]


# --- volumes, resources, SELinux


def test_volumes_of_the_user_are_added_and_replace_those_of_the_engine() -> None:
    volumes = [
        {"source": "/srv/loras", "target": "/loras"},
        {"source": "/srv/out", "target": "/out", "writable": True, "relabel": True},
        {"source": "hub", "target": "/hub"},
        {"source": "/srv/cache", "target": "/root/.cache", "writable": True},
    ]
    launch = container(only_model({**VLLM, "volumes": volumes}))

    assert launch.mounts == (
        Mount(source="/srv/loras", target="/loras"),
        Mount(source="/srv/out", target="/out", writable=True, relabel=True),
        Mount(source="/srv/cache", target="/root/.cache", writable=True),
    )
    assert launch.volumes == (Volume(name="hub", target="/hub"),)


def test_a_volume_takes_the_place_of_the_engines() -> None:
    launch = container(only_model({**VLLM, "volumes": [{"source": "hub", "target": "/root/.cache"}]}))
    assert launch.volumes == (Volume(name="hub", target="/root/.cache"),)


@pytest.mark.parametrize("facts", [CPU_HOST, PODMAN_HOST, DOCKER_HOST])
def test_a_path_is_relabelled_by_every_container_engine(facts: HostFacts) -> None:
    runtime = "docker" if facts is DOCKER_HOST else "podman"
    spec = {**LLAMA, "runtime": runtime, "volumes": [{"source": "/srv/x", "target": "/x", "relabel": True}]}
    keys = unit(compiled({"m": spec}, context(facts)), "m")
    text = " ".join((*keys.get(("Container", "Volume"), ()), *keys.get(("Service", "ExecStart"), ())))

    assert "/srv/x:/x:ro,z" in text
    assert "relabel" not in text  # no word of Docker's


LIMITS = {"memory": "8GiB", "cpus": 2.5, "tasks": 512}


def test_limits_are_those_of_the_units_control_group() -> None:
    for spec in ({**LLAMA, "resources": LIMITS}, {**NATIVE, "resources": LIMITS}):
        deployment = compiled({"m": spec})
        keys = unit(deployment, "m")

        assert deployment.servers[0].resources == Resources(memory=8 * GIB, cpus=2.5, tasks=512)
        assert keys["Service", "MemoryMax"] == (str(8 * GIB),)
        assert keys["Service", "CPUQuota"] == ("250%",)
        assert keys["Service", "TasksMax"] == ("512",)


def test_limits_are_told_to_docker_whose_containers_are_in_no_units_group() -> None:
    keys = unit(compiled({"m": {**DOCKER, "resources": LIMITS}}, context(DOCKER_HOST)), "m")
    (command,) = keys["Service", "ExecStart"]

    assert ("Service", "MemoryMax") not in keys
    assert f"--memory {8 * GIB}b --cpus 2.5 --pids-limit 512" in command.replace('"', "")


def test_selinux_is_the_containers() -> None:
    typed = only_model({**LLAMA, "selinux": {"type": "nvidia_container_t"}})
    off = only_model({**LLAMA, "selinux": {"disable": True}})

    assert container(typed).selinux == Selinux(type="nvidia_container_t")
    assert container(off).selinux == Selinux(disable=True)
    keys = unit(compiled({"m": {**LLAMA, "selinux": {"type": "nvidia_container_t"}}}), "m")
    assert keys["Container", "SecurityLabelType"] == ("nvidia_container_t",)
    keys = unit(compiled({"m": {**LLAMA, "selinux": {"disable": True}}}), "m")
    assert keys["Container", "SecurityLabelDisable"] == ("true",)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({**NATIVE, "volumes": []}, "volumes"),
        ({**NATIVE, "selinux": {"disable": True}}, "selinux"),
        ({**NATIVE, "quadlet": {"Ulimit": "nofile=1"}}, "quadlet"),
        ({**DOCKER, "quadlet": {"Ulimit": "nofile=1"}}, "quadlet"),
        ({**DOCKER, "selinux": {"type": "x_t"}}, "selinux"),
        ({"engine": "tei", "source": "hf://a/b", "task": "embed", "context": 1}, "context"),
    ],
)
def test_what_the_runtime_or_engine_has_no_use_for_is_a_warning(spec: dict[str, Any], field: str) -> None:
    report = compile_config(config({"m": spec}), context(DOCKER_HOST)).report
    assert [(item.code, item.path, item.severity) for item in report] == [
        ("MG4007", ("models", "m", field), Severity.WARNING)
    ]


# --- secrets

SECRETS = {
    "hub": {"podman": "hf-token"},
    "file": {"file": "/etc/modelgrid/token"},
    "sealed": {"encrypted": "/etc/credstore.encrypted/token"},
}


def secret(variable: str, name: str, spec: dict[str, Any], at: Context) -> ModelServer:
    return only_model({**spec, "secrets": {variable: name}}, at, secrets=SECRETS)


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("facts", [CPU_HOST, PODMAN_HOST])
def test_a_secret_of_podman_is_a_variable_or_a_file(facts: HostFacts, scope: Scope) -> None:
    at = context(facts, scope)
    plain = secret("HF_TOKEN", "hub", VLLM, at)
    path = secret("HF_TOKEN_PATH", "hub", VLLM, at)

    assert container(plain).podman_secrets == (PodmanSecret(name="hf-token", variable="HF_TOKEN"),)
    assert "HF_TOKEN" not in dict(plain.environment)
    assert container(path).podman_secrets == (
        PodmanSecret(name="hf-token", variable="HF_TOKEN_PATH", path="/run/secrets/hub"),
    )
    assert dict(path.environment)["HF_TOKEN_PATH"] == "/run/secrets/hub"


@pytest.mark.parametrize(("name", "encrypted"), [("file", False), ("sealed", True)])
def test_a_file_is_handed_over_by_systemd(name: str, encrypted: bool) -> None:  # noqa: FBT001  a parameter of pytest
    contained = secret("HF_TOKEN_FILE", name, LLAMA, context())
    native = secret("HF_TOKEN_FILE", name, NATIVE, context(scope=Scope.USER))
    source = SECRETS[name]["encrypted" if encrypted else "file"]

    for server in (contained, native):
        assert server.credentials == (
            Credential(name=name, source=source, variable="HF_TOKEN_FILE", encrypted=encrypted),
        )
    assert dict(contained.environment)["HF_TOKEN_FILE"] == f"/run/secrets/{name}"
    keys = unit(compiled({"m": {**NATIVE, "secrets": {"HF_TOKEN_FILE": name}}}, secrets=SECRETS), "m")
    assert keys["Service", "LoadCredentialEncrypted" if encrypted else "LoadCredential"] == (f"{name}:{source}",)
    assert f"HF_TOKEN_FILE=%d/{name}" in " ".join(keys["Service", "Environment"])


@pytest.mark.parametrize(
    ("spec", "variable", "name", "scope"),
    [
        (NATIVE, "HF_TOKEN", "hub", Scope.SYSTEM),  # podman's, and no podman
        (NATIVE, "HF_TOKEN_PATH", "hub", Scope.USER),
        (DOCKER, "HF_TOKEN", "hub", Scope.SYSTEM),
        (DOCKER, "HF_TOKEN_PATH", "file", Scope.SYSTEM),
        (DOCKER, "HF_TOKEN_PATH", "sealed", Scope.SYSTEM),
        (LLAMA, "HF_TOKEN", "file", Scope.SYSTEM),  # a value would stand in the environment
        (NATIVE, "HF_TOKEN", "sealed", Scope.SYSTEM),
        (LLAMA, "HF_TOKEN_PATH", "file", Scope.USER),  # rootless podman maps users
    ],
)
def test_a_secret_that_cannot_be_handed_over_is_refused(
    spec: dict[str, Any], variable: str, name: str, scope: Scope
) -> None:
    report = compile_config(
        config({"m": {**spec, "secrets": {variable: name}}}, secrets=SECRETS), context(DOCKER_HOST, scope)
    ).report
    (fault,) = report
    assert (fault.code, fault.path) == ("MG4010", ("models", "m", "secrets", variable))
    # a way out that is refused as well would be none
    assert spec is not DOCKER or "podman secret" not in (fault.hint or "")


# --- keys of units set by hand


def test_keys_set_by_hand_stand_in_their_sections() -> None:
    spec = {**LLAMA, "quadlet": {"Ulimit": "memlock=-1:-1"}, "systemd": {"Nice": 5, "ConditionPathExists": "/srv"}}
    keys = unit(compiled({"m": spec}), "m")

    assert keys["Container", "Ulimit"] == ("memlock=-1:-1",)
    assert keys["Service", "Nice"] == ("5",)
    assert keys["Unit", "ConditionPathExists"] == ("/srv",)


@pytest.mark.parametrize(
    ("field", "keys", "code"),
    [
        ("quadlet", {"Ulimits": "memlock=-1"}, "MG4030"),
        ("systemd", {"Nise": 5}, "MG4030"),
        ("quadlet", {"HttpProxy": False, "Retry": 3}, "MG4031"),
        ("quadlet", {"Image": "localhost/other:1"}, "MG4032"),
        ("systemd", {"ExecStart": "/bin/sh"}, "MG4032"),
    ],
)
def test_keys_set_by_hand_are_checked_against_the_target(field: str, keys: dict[str, Any], code: str) -> None:
    deployment = compiled({"m": {**LLAMA, field: keys}}, context(replace(CPU_HOST, podman=(4, 9, 0))))
    with pytest.raises(ConfigError) as caught:
        emit(deployment)

    assert caught.value.report is not None
    key = list(keys)[-1]
    assert [(item.code, item.path) for item in caught.value.report] == [(code, ("models", "m", field, key))]


# --- where it runs


@pytest.mark.parametrize(
    ("podman", "manager"),
    [((5, 8, 2), Manager.QUADLET), ((4, 4), Manager.QUADLET), ((4, 3, 1), Manager.PODMAN), ((3, 4, 4), Manager.PODMAN)],
)
def test_a_podman_without_quadlets_runs_by_a_plain_service(podman: tuple[int, ...], manager: Manager) -> None:
    at = context(replace(CPU_HOST, podman=podman, systemd=252))
    deployment = compiled({"m": LLAMA}, at)
    assert container(deployment.servers[0]).manager is manager
    paths = {artifact.path for artifact in emit(deployment)}
    assert ("units/modelgrid-model-m.service" in paths) == (manager is Manager.PODMAN)


def test_docker_is_the_systems_and_has_to_be_there() -> None:
    path = ("models", "m", "runtime")
    assert found({"m": DOCKER}) == [("MG4005", path)]
    assert found({"m": DOCKER}, context(DOCKER_HOST, Scope.USER)) == [("MG4006", path)]
    assert container(only_model(DOCKER, context(DOCKER_HOST))).manager is Manager.DOCKER


@pytest.mark.parametrize("engine", ["speaches", "custom"])
def test_an_engine_without_a_program_does_not_run_on_the_host(engine: str) -> None:
    spec = {"engine": engine, "runtime": "native", "source": "hf://a/b"}
    spec["task"] = "transcribe" if engine == "speaches" else "generate"
    assert found({"m": spec}) == [("MG4005", ("models", "m", "runtime"))]


def test_the_image_is_that_of_the_vendor_and_the_processor() -> None:
    assert container(only_model(VLLM)).image.startswith("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:")
    arm = context(replace(CPU_HOST, arch="aarch64"))
    assert container(only_model(VLLM, arm)).image.startswith("public.ecr.aws/q9t5s3a7/vllm-arm64-cpu-release-repo:")
    assert found({"m": VLLM}, context(replace(CPU_HOST, arch="riscv64"))) == [("MG4006", ("models", "m", "engine"))]


def amd(arch: str = "x86_64") -> HostFacts:
    gpu = Gpu(index=0, uuid="AMD-0", name="MI", memory=64 * GIB, vendor=Vendor.AMD, node="/dev/dri/renderD128")
    return replace(CPU_HOST, arch=arch, gpus=(gpu,))


def test_gpus_with_device_nodes_come_by_them() -> None:
    launch = container(only_model(VLLM, context(amd())))
    assert launch.devices == ("/dev/kfd", "/dev/dri/renderD128")
    assert launch.image.startswith("docker.io/vllm/vllm-openai-rocm:")
    assert launch.groups == ()
    assert container(only_model(VLLM, context(amd(), Scope.USER))).groups == ("keep-groups",)


def test_a_gpu_that_no_image_is_for_is_given_to_nobody() -> None:
    tei = {"engine": "tei", "source": "hf://a/b", "task": "embed"}
    assert found({"m": tei}, context(amd())) == [("MG4002", ("models", "m", "gpus"))]
    assert container(only_model({**tei, "gpus": 0}, context(amd()))).image.endswith(":cpu-1.9")
    assert found({"m": VLLM}, context(amd("aarch64"))) == [("MG4006", ("models", "m", "engine"))]


@pytest.mark.parametrize("field", ["image", "images"])
def test_an_image_of_the_user_replaces_those_for_processors(field: str) -> None:
    mine = "registry.example/mine:1"
    engines = {"vllm": {"image": mine} if field == "image" else {"images": {"cpu": mine}}}
    assert container(only_model(VLLM, engines=engines)).image == mine
    one = {"vllm": {"images": {"cpu-aarch64": mine}}}
    assert container(only_model(VLLM, engines=one)).image != mine
    assert container(only_model(VLLM, context(replace(CPU_HOST, arch="aarch64")), engines=one)).image == mine


def test_a_legacy_engine_is_a_warning() -> None:
    assert found({"m": {"engine": "tgi", "source": "hf://a/b"}}) == [("MG4009", ("models", "m", "engine"))]


# --- engines

TASKS = {name: next(iter(engine.tasks)) for name, engine in builtin_engines().items()}
SOURCES = {"path": "/srv/models/m.gguf", "repository": "hf://Org/Model", "name": "llama3:8b"}


def can_run(name: str, runtime: str) -> bool:
    engine = builtin_engines()[name]
    return bool(engine.program if runtime == "native" else engine.images)


def in_words_of_the_file(name: str) -> dict[str, Any]:
    """The catalogue's entry of engine *name* as a user would write it under `engines`, in YAML."""
    entry = {key: value for key, value in read_entry(name).items() if key not in {"description", "legacy", "embedded"}}
    if "shm_size" in entry:
        entry["shm_size"] = f"{entry['shm_size']}B"
    for task in entry["tasks"].values():
        assert set(task) <= {"command", "env", "apis"}
    read: dict[str, Any] = yaml.safe_load(yaml.safe_dump(entry))
    return read


@pytest.mark.parametrize(
    ("name", "runtime"),
    [(name, runtime) for runtime in ("podman", "native") for name in builtin_names() if can_run(name, runtime)],
)
def test_an_engine_that_a_file_declares_whole_is_the_same_as_a_built_in_one(name: str, runtime: str) -> None:
    engine = builtin_engines()[name]
    gpus = {vendor for image in engine.images if (vendor := image.partition("-")[0]) != "cpu"}
    hosts = [with_programs(GPU_HOST)] if "nvidia" in gpus else []
    hosts += [with_programs(CPU_HOST)] if {"cpu", "cpu-x86_64"} & engine.images.keys() else []
    hosts += [with_programs(amd())] if "amd" in gpus else []
    assert hosts
    for source in (text for kind, text in SOURCES.items() if kind in engine.sources):
        for task in engine.tasks:
            spec: dict[str, Any] = {"source": source, "task": task, "runtime": runtime, "vram": "4GiB"}
            spec |= {"context": 4096, "parallel": 2} if {"context", "parallel"} <= engine.options.keys() else {}
            for facts in hosts:
                built_in = compiled({"m": {**spec, "engine": name}}, context(facts))
                declared = compiled(
                    {"m": {**spec, "engine": "own"}}, context(facts), engines={"own": in_words_of_the_file(name)}
                )
                assert without_engine(declared) == without_engine(built_in)


@pytest.mark.parametrize("name", [name for name, engine in builtin_engines().items() if engine.shared is not None])
def test_a_declared_engine_shares_a_server_as_the_built_in_one_does(name: str) -> None:
    engine = builtin_engines()[name]
    source = next(text for kind, text in SOURCES.items() if kind in engine.sources)
    models = {key: {"server": "s", "source": source.replace("m.", f"{key}."), "task": TASKS[name]} for key in "ab"}
    built_in = compiled(models, servers={"s": {"engine": name}})
    engines = {"own": in_words_of_the_file(name)}
    declared = compiled(models, servers={"s": {"engine": "own"}}, engines=engines)

    assert without_engine(declared) == without_engine(built_in)


def with_programs(facts: HostFacts) -> HostFacts:
    programs = {engine.program for engine in builtin_engines().values() if engine.program}
    return replace(facts, programs=tuple((program, f"/usr/bin/{program}") for program in sorted(programs)))


def without_engine(deployment: Deployment) -> list[str]:
    """The files of *deployment* without the engine's name and what follows from it."""
    servers = tuple(replace(server, engine="same", origins={}) for server in deployment.servers)
    routes = tuple(replace(route, engine="same") for route in deployment.routes)
    return [artifact.content for artifact in emit(replace(deployment, servers=servers, routes=routes))]


def test_an_engine_of_ones_own_starts_from_a_built_in_one() -> None:
    engines = {"mine": {"extends": "vllm", "image": "registry.example/vllm:1", "env": {"VLLM_LOGGING_LEVEL": "DEBUG"}}}
    mine = only_model({**VLLM, "engine": "mine", "context": 4096}, engines=engines)
    plain = only_model({**VLLM, "context": 4096})

    assert (mine.engine, container(mine).image) == ("mine", "registry.example/vllm:1")
    assert container(mine).arguments == container(plain).arguments
    assert container(mine).volumes == container(plain).volumes
    assert dict(mine.environment) == {**dict(plain.environment), "VLLM_LOGGING_LEVEL": "DEBUG"}


def test_an_engine_of_ones_own_says_options_tasks_vendors_and_what_it_fetches() -> None:
    engines: dict[str, Any] = {
        "mine": {
            "image": "registry.example/mine:1",
            "port": 9000,
            "entrypoint": "/serve",
            "command": ["--weights", "{source}", "--as", "{model}"],
            "env": {"SLUG": "{slug}"},
            "options": {"context": {"command": ["--ctx={value}"], "env": {"CTX": "{value}"}}},
            "vendors": {"cpu": {"command": ["--cpu"]}},
            "tasks": {
                "embed": {"command": ["--embed"], "env": {"TASK": "embed"}, "apis": ["/v1/embeddings", "/embed"]}
            },
            "sources": ["repository"],
            "fetches": ["repository"],
            "volumes": [{"name": "mine-{slug}", "target": "/cache"}],
            "after_start": ["warm", "{source}"],
            "shm_size": "1GiB",
            "health": {"path": "/ready", "command": "ready"},
            "upstream_model": "{source}",
        }
    }
    spec = {"engine": "mine", "source": "hf://Org/Model", "task": "embed", "context": 9}
    server, route = only_model(spec, engines=engines), only_route(spec, engines=engines)
    launch = container(server)

    assert (launch.entrypoint, launch.port, launch.shm_size) == ("/serve", 9000, GIB)
    assert launch.arguments == ("--weights", "Org/Model", "--as", "m", "--embed", "--cpu", "--ctx=9")
    assert dict(server.environment) == {"SLUG": "m", "CTX": "9", "TASK": "embed"}
    assert launch.volumes == (Volume(name="mine-m", target="/cache"),)
    assert (launch.fetches, launch.after_start, launch.health_command) == (True, (("warm", "Org/Model"),), "ready")
    assert not server.isolated
    assert (server.health.path, route.upstream_model) == ("/ready", "Org/Model")
    assert route.apis == ("/embed", "/v1/embeddings")
    assert codes({"m": {"engine": "mine", "source": "/srv/x", "task": "embed"}}, engines=engines) == ["MG3019"]


def test_an_engine_of_ones_own_can_be_shared() -> None:
    engines = {
        "mine": {
            "image": "registry.example/mine:1",
            "command": ["{source}"],
            "shared": {"command": ["--all", "{sources}"], "env": {"N": "{count}"}, "upstream_model": "x/{model}"},
        }
    }
    models = {name: {"server": "s", "source": f"hf://Org/{name}"} for name in "ab"}
    deployment = compiled(models, servers={"s": {"engine": "mine"}}, engines=engines)
    (server,) = deployment.servers

    assert container(server).arguments == ("--all", "Org/a;Org/b")
    assert dict(server.environment)["N"] == "2"
    assert [route.upstream_model for route in deployment.routes] == ["x/a", "x/b"]


def test_a_command_of_ones_own_stands_alone() -> None:
    engines = {"sglang": {"command": ["-m", "my.server"]}, "llamacpp": {"command": ["--models-dir", "/models"]}}
    models = {"m": {"engine": "sglang", "source": "/srv/m"}}
    launch = container(only_model(models["m"], context(GPU_HOST), engines={"sglang": engines["sglang"]}))
    assert launch.arguments[:2] == ("-m", "my.server")
    assert "sglang.launch_server" not in launch.arguments
    sections = router()
    assert found(**sections, engines={"llamacpp": engines["llamacpp"]})[0][0] == "MG3023"


# --- what the catalogue says of each engine


@pytest.mark.parametrize("engine", builtin_engines().values(), ids=lambda engine: engine.name)
def test_what_a_server_writes_below_its_home_is_in_a_volume(engine: Engine) -> None:
    """The root of a container is read-only: caches that are said to be somewhere are in a volume."""
    paths = [value for value in engine.env.values() if value.startswith("/") and value != "/v1"]
    for path in paths:
        assert any(PurePosixPath(path).is_relative_to(volume.target) for volume in engine.volumes), path
    # what fetches keeps what it fetched
    assert not engine.fetches or engine.volumes


@pytest.mark.parametrize("name", ["vllm", "sglang", "tgi"])
def test_kernels_are_compiled_into_a_folder_that_can_be_written(name: str) -> None:
    engine = builtin_engines()[name]
    (volume,) = engine.volumes
    folder = engine.env.get("TRITON_CACHE_DIR") or f"{engine.env['HOME']}/.triton"
    assert folder.startswith(volume.target)
    native = engine.env_native.get("TRITON_CACHE_DIR", engine.env_native["HOME"])
    assert native.startswith("{state}")


def test_a_model_that_is_there_is_enough_where_the_network_is_not() -> None:
    for name in ("ollama", "speaches"):
        assert builtin_engines()[name].after_start[0] == "sh"
        assert "||" in builtin_engines()[name].after_start[2]


def test_no_engine_reports_to_its_makers_or_runs_code_of_repositories() -> None:
    engines = builtin_engines()
    assert engines["infinity"].env["INFINITY_TRUST_REMOTE_CODE"] == "false"
    assert engines["infinity"].env["DO_NOT_TRACK"] == "1"
    assert engines["vllm"].env["VLLM_NO_USAGE_STATS"] == "1"
    assert engines["tgi"].env["USAGE_STATS"] == "off"
    assert engines["ollama"].env["OLLAMA_NO_CLOUD"] == "1"


def test_no_image_is_the_latest_of_anything() -> None:
    for engine in builtin_engines().values():
        assert not [image for image in engine.images.values() if "latest" in image.partition(":")[2]]
