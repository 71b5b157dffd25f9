from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from modelgrid.compile import Context, compile_config
from modelgrid.config.schema import Config
from modelgrid.diagnostics import Location, Path, Severity
from modelgrid.engines.builtin import builtin_engines
from modelgrid.host.facts import Gpu, HostFacts, Vendor
from modelgrid.ir import (
    Container,
    Deployment,
    Isolated,
    ModelRoute,
    ModelServer,
    Mount,
    Process,
    Published,
    Scope,
    Volume,
)

GIB = 1024**3
CPU_HOST = HostFacts(
    system="linux",
    arch="x86_64",
    podman=(5, 4, 2),
    systemd=257,
    python="/opt/modelgrid/bin/python",
    programs=(("llama-server", "/usr/bin/llama-server"), ("ollama", "/usr/bin/ollama")),
)
GPU_HOST = replace(
    CPU_HOST,
    gpus=tuple(Gpu(index=index, uuid=f"GPU-{index}", name="test", memory=48 * GIB) for index in range(2)),
)


def context(facts: HostFacts = CPU_HOST, scope: Scope = Scope.SYSTEM, *, foreign: bool = False) -> Context:
    def locate(path: Path) -> Location:
        return Location(file="modelgrid.yaml", line=len(path), column=1)

    return Context(
        facts=facts,
        scope=scope,
        engines=builtin_engines(),
        base=PurePosixPath("/srv/grid"),
        cache=PurePosixPath("/var/lib/modelgrid/weights"),
        state_root=PurePosixPath("/var/lib"),
        locate=locate,
        foreign=foreign,
    )


def config(models: dict[str, Any], **sections: Any) -> Config:
    return Config.model_validate({"version": 1, "models": models, **sections})


def compiled(models: dict[str, Any], at: Context | None = None, **sections: Any) -> Deployment:
    deployment, report, _ = compile_config(config(models, **sections), at or context())
    assert not report.errors, report.errors
    assert deployment is not None
    return deployment


def only_model(spec: dict[str, Any], at: Context | None = None, name: str = "m", **sections: Any) -> ModelServer:
    (model,) = compiled({name: spec}, at, **sections).servers
    return model


def only_route(spec: dict[str, Any], at: Context | None = None, name: str = "m", **sections: Any) -> ModelRoute:
    (route,) = compiled({name: spec}, at, **sections).routes
    return route


def container(model: ModelServer) -> Container:
    assert isinstance(model.launch, Container)
    return model.launch


def process(model: ModelServer) -> Process:
    assert isinstance(model.launch, Process)
    return model.launch


def codes(models: dict[str, Any], at: Context | None = None, **sections: Any) -> list[str]:
    deployment, report, _ = compile_config(config(models, **sections), at or context())
    assert (deployment is None) == bool(report.errors)
    return [item.code for item in report]


LLAMA = {"engine": "llamacpp", "source": "/srv/models/m.gguf"}


def test_a_container_gets_its_weights_by_read_only_mount_and_no_way_out() -> None:
    launch = container(only_model({**LLAMA, "context": 4096}))
    assert launch.mounts == (Mount(source="/srv/models/m.gguf", target="/models/m.gguf"),)
    assert isinstance(launch.attachment, Isolated)
    assert launch.arguments == (
        *("--model", "/models/m.gguf", "--alias", "m", "--host", "0.0.0.0", "--port", "8080"),
        *("--jinja", "--ctx-size", "4096"),
    )


def test_an_isolated_server_is_reached_at_its_own_address_and_the_engines_port() -> None:
    deployment = compiled({"m": LLAMA})
    (model,) = deployment.servers
    assert deployment.networks
    assert model.endpoint.host.startswith("10.133.")
    assert model.endpoint.port == 8080


def test_relative_weights_start_from_the_folder_of_the_file() -> None:
    launch = container(only_model({**LLAMA, "source": "./models/x.gguf"}))
    assert launch.mounts[0].source == "/srv/grid/models/x.gguf"


def test_a_user_scope_has_loopback_ports_and_no_network() -> None:
    deployment = compiled({"m": LLAMA}, context(scope=Scope.USER))
    (model,) = deployment.servers
    assert not deployment.networks
    assert container(model).attachment == Published(port=model.endpoint.port)
    assert model.endpoint.host == "127.0.0.1"


def test_an_engine_that_fetches_its_weights_has_egress_unless_the_file_says_no() -> None:
    assert isinstance(container(only_model({"engine": "ollama"}, name="llama3:8b")).attachment, Published)
    closed = container(only_model({"engine": "ollama", "egress": False}, name="llama3:8b"))
    assert isinstance(closed.attachment, Isolated)


def test_ollama_pulls_by_its_own_name_which_is_the_models_unless_a_source_says_otherwise() -> None:
    assert only_route({"engine": "ollama"}, name="llama3:8b").upstream_model == "llama3:8b"
    assert container(only_model({"engine": "ollama"}, name="llama3:8b")).after_start[0][-1] == "llama3:8b"
    other = only_route({"engine": "ollama", "source": "llama3.1:8b-q4"}, name="chat")
    assert other.upstream_model == "llama3.1:8b-q4"


def test_what_the_server_calls_the_model_is_for_the_engine_to_say() -> None:
    engines = {"mine": {"image": "registry.example/m:1", "upstream_model": "{source}"}}
    spec = {"engine": "mine", "source": "org-model"}
    assert only_route({**spec}, engines={"mine": {"image": "registry.example/m:1"}}).upstream_model == "m"
    assert only_route(spec, engines=engines).upstream_model == "org-model"
    assert only_route({**spec, "source": "/srv/w"}, engines=engines).upstream_model == "/models/w"
    assert codes({"m": {"engine": "mine"}}, engines=engines) == ["MG3007"]


def test_every_file_of_split_weights_is_mounted() -> None:
    launch = container(only_model({**LLAMA, "source": "/srv/big-00001-of-00003.gguf"}))
    names = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert launch.mounts == tuple(Mount(source=f"/srv/{name}", target=f"/models/{name}") for name in names)
    assert launch.arguments[1] == "/models/big-00001-of-00003.gguf"


@pytest.mark.parametrize("runtime", ["podman", "native"])
def test_egress_that_a_users_units_cannot_close_is_a_fault(runtime: str) -> None:
    spec = {**LLAMA, "runtime": runtime, "egress": False}
    report = compile_config(config({"m": spec}), context(scope=Scope.USER)).report
    assert [(item.code, item.path) for item in report] == [("MG4006", ("models", "m", "egress"))]
    assert codes({"m": spec}) == []


def test_a_relative_source_is_refused_where_the_target_is_another_host() -> None:
    spec = {**LLAMA, "source": "./models/x.gguf"}
    report = compile_config(config({"m": spec}), context(foreign=True)).report
    assert [(item.code, item.path) for item in report] == [("MG4008", ("models", "m", "source"))]
    assert codes({"m": {**LLAMA, "source": "C:/x.gguf"}}, context(foreign=True)) == ["MG4008"]
    assert only_model(LLAMA, context(foreign=True)) == only_model(LLAMA)


def test_a_foreign_host_without_podman_runs_no_container_whatever_its_system() -> None:
    facts = replace(CPU_HOST, podman=None, system="darwin")
    assert codes({"m": LLAMA}, context(facts, foreign=True)) == ["MG4005"]


def test_gpus_come_by_cdi_uuid_with_the_vendors_image() -> None:
    launch = container(only_model(LLAMA, context(GPU_HOST)))
    assert launch.devices == ("nvidia.com/gpu=GPU-0",)
    assert launch.image.endswith(":server-cuda")
    assert launch.arguments[-2:] == ("--n-gpu-layers", "999")


def test_gpus_zero_means_the_cpu_image() -> None:
    launch = container(only_model({**LLAMA, "gpus": 0}, context(GPU_HOST)))
    assert launch.devices == ()
    assert launch.image.endswith(":server")


def test_vllm_gets_parallelism_and_a_memory_share_from_what_the_file_says() -> None:
    spec = {"engine": "vllm", "source": "hf://Org/Big", "gpus": 2, "vram": "48GiB"}
    model = only_model(spec, context(GPU_HOST))
    arguments = container(model).arguments
    assert arguments[0] == "Org/Big"
    assert arguments[arguments.index("--tensor-parallel-size") + 1] == "2"
    assert arguments[arguments.index("--gpu-memory-utilization") + 1] == "0.50"
    assert container(model).volumes == (Volume(name="modelgrid-cache-m", target="/root/.cache"),)


def test_an_embedding_model_forwards_embeddings_only() -> None:
    assert only_route({**LLAMA, "task": "embed"}).apis == ("/v1/embeddings",)


def test_a_native_server_listens_on_loopback_with_the_hosts_program() -> None:
    model = only_model({**LLAMA, "runtime": "native", "port": 9001})
    assert process(model).argv[:3] == ("/usr/bin/llama-server", "--model", "/srv/models/m.gguf")
    assert (model.endpoint.host, model.endpoint.port) == ("127.0.0.1", 9001)


def test_the_embedded_engine_stands_in_for_a_missing_program() -> None:
    facts = replace(CPU_HOST, programs=(), embedded_llama=True)
    argv = process(only_model({**LLAMA, "runtime": "native"}, context(facts))).argv
    assert argv[:4] == ("/opt/modelgrid/bin/python", "-P", "-m", "modelgrid.embedded")


def test_a_missing_program_is_a_fault_with_the_ways_out() -> None:
    at = context(replace(CPU_HOST, programs=()))
    deployment, report, _ = compile_config(config({"m": {**LLAMA, "runtime": "native"}}), at)
    (fault,) = report
    assert deployment is None
    assert fault.code == "MG4005"
    assert fault.path == ("models", "m", "runtime")
    assert "llama-server" in fault.message
    assert "modelgrid[local]" in (fault.hint or "")


def test_weights_of_a_package_are_in_the_cache() -> None:
    launch = container(only_model({**LLAMA, "source": "package://some-model-gguf"}))
    assert launch.mounts[0].source.startswith("/var/lib/modelgrid/weights/")


def test_a_native_ollama_keeps_its_state_where_the_service_may_write() -> None:
    model = only_model({"engine": "ollama", "runtime": "native"}, name="tiny")
    assert process(model).state_directory == "modelgrid/tiny"
    assert dict(model.environment)["HOME"] == "/var/lib/modelgrid/tiny"
    assert dict(model.environment)["OLLAMA_HOST"] == str(model.endpoint)


def test_engines_of_the_file_change_the_built_in_ones_and_add_new_ones() -> None:
    engines = {
        "llamacpp": {"image": "registry.example/llama:1"},
        "mine": {"image": "registry.example/mine:2", "port": 9000, "command": ["--m", "{source}", "{other}"]},
    }
    first, second = compiled(
        {"a": LLAMA, "b": {"engine": "mine", "source": "/srv/b"}}, context(GPU_HOST), engines=engines
    ).servers
    assert container(first).image == "registry.example/llama:1"
    assert container(second).arguments == ("--m", "/models/b", "{other}")
    assert second.endpoint.port == 9000


def test_a_health_path_of_the_file_is_probed_from_the_host() -> None:
    model = only_model(LLAMA, engines={"llamacpp": {"health": {"path": "/ok"}}})
    assert model.health.path == "/ok"
    assert container(model).health_command == ""


def test_a_health_command_alone_keeps_the_path_of_the_engine() -> None:
    engines = {"ollama": {"health": {"command": "ollama ps"}}, "mine": {"image": "a.example/b:1", "health": {}}}
    first, second = compiled({"a": {"engine": "ollama"}, "b": {"engine": "mine"}}, engines=engines).servers
    assert first.health.path == "/api/version"
    assert container(first).health_command == "ollama ps"
    assert second.health.path == "/health"


def test_ollama_pulls_with_the_program_that_runs() -> None:
    engines = {"ollama": {"program": "/opt/x/ollama"}}
    models = {"a": {"engine": "ollama", "runtime": "native"}, "b": {"engine": "ollama"}}
    native, contained = compiled(models, engines=engines).servers
    assert process(native).after_start[0][-2:] == ("/opt/x/ollama", "a")
    assert container(contained).after_start[0][-2:] == ("ollama", "b")
    assert container(contained).health_command == "ollama list"
    found = only_model({"engine": "ollama", "runtime": "native"}, name="a")
    assert process(found).after_start[0][-2:] == ("/usr/bin/ollama", "a")


NATIVE = {**LLAMA, "runtime": "native"}


@pytest.mark.parametrize(
    ("models", "engines", "path"),
    [
        ({"m": {**LLAMA, "port": 9000}}, {}, ("models", "m", "port")),
        ({"m": {**NATIVE, "image": "a.example/b:1"}}, {}, ("models", "m", "image")),
        ({"m": {"engine": "mine", "context": 1}}, {"mine": {"image": "a.example/b:1"}}, ("models", "m", "context")),
        ({"m": {"engine": "mine", "parallel": 1}}, {"mine": {"image": "a.example/b:1"}}, ("models", "m", "parallel")),
        ({"m": LLAMA}, {"llamacpp": {"program": "/opt/llama"}}, ("engines", "llamacpp", "program")),
        ({"m": NATIVE}, {"llamacpp": {"image": "a.example/b:1"}}, ("engines", "llamacpp", "image")),
        (
            {"m": {**LLAMA, "image": "a.example/c:1"}, "n": NATIVE},
            {"llamacpp": {"image": "a.example/b:1"}},
            ("engines", "llamacpp", "image"),
        ),
        ({"m": NATIVE}, {"llamacpp": {"port": 1}}, ("engines", "llamacpp", "port")),
        ({"m": NATIVE}, {"llamacpp": {"entrypoint": "/x"}}, ("engines", "llamacpp", "entrypoint")),
        ({"m": NATIVE}, {"llamacpp": {"health": {"command": "x"}}}, ("engines", "llamacpp", "health", "command")),
    ],
)
def test_a_field_without_effect_is_a_warning(
    models: dict[str, Any], engines: dict[str, Any], path: tuple[str, ...]
) -> None:
    deployment, report, _ = compile_config(config(models, engines=engines), context())
    assert deployment is not None
    assert [(item.code, item.severity, item.path) for item in report] == [("MG4007", Severity.WARNING, path)]


def test_a_field_that_one_of_several_models_uses_is_no_warning() -> None:
    change = {"image": "a.example/b:1", "program": "/opt/llama", "port": 1, "health": {"command": "x"}}
    assert codes({"m": LLAMA, "n": NATIVE}, engines={"llamacpp": change}) == []
    assert codes({"m": {**LLAMA, "context": 1, "parallel": 1}}) == []


def test_arguments_of_the_model_come_last_as_options_or_words() -> None:
    args = {"flash-attn": True, "off": False, "temp": 0.5, "lora": ["a", "b"]}
    words = container(only_model({**LLAMA, "args": args})).arguments
    assert words[-7:] == ("--flash-attn", "--temp", "0.5", "--lora", "a", "--lora", "b")
    assert container(only_model({**LLAMA, "args": ["-x", "y z"]})).arguments[-2:] == ("-x", "y z")


def test_models_are_sorted_and_nothing_depends_on_the_order_of_the_file() -> None:
    models = {"b": LLAMA, "a": LLAMA}
    assert compiled(models) == compiled(dict(reversed(models.items())))


def test_a_chosen_port_avoids_the_gateways_and_explicit_ones() -> None:
    native = {**LLAMA, "runtime": "native"}
    (chosen,) = compiled({"m": native}).servers
    port = chosen.endpoint.port
    moved = compiled({"m": native}, gateway={"listen": f"127.0.0.1:{port}"}).servers[0].endpoint.port
    assert moved == port + 1


@pytest.mark.parametrize(
    ("models", "facts", "expected"),
    [
        ({"m": {"engine": "llamacpp"}}, CPU_HOST, ["MG3007"]),
        ({"m": {"engine": "llamacpp", "source": "hf://a/b"}}, CPU_HOST, ["MG3019"]),
        ({"m": {"engine": "llamacpp", "source": "s3://a"}}, CPU_HOST, ["MG3018"]),
        ({"m": LLAMA}, replace(CPU_HOST, podman=None), ["MG4005"]),
        ({"m": {**LLAMA, "runtime": "native"}}, replace(CPU_HOST, podman=None), []),
        ({"m": LLAMA}, replace(CPU_HOST, podman=None, system="darwin"), []),
        ({"m": {"engine": "sglang", "source": "hf://a/b"}}, CPU_HOST, ["MG4006"]),
        ({"m": {**LLAMA, "gpus": 1}}, CPU_HOST, ["MG4002"]),
        ({"m": {**LLAMA, "gpus": [7]}}, GPU_HOST, ["MG4002"]),
        ({"m": {**LLAMA, "vram": "60GiB"}}, GPU_HOST, ["MG4001"]),
        (
            {"m": {**LLAMA, "gpus": [0]}},
            replace(GPU_HOST, gpus=(replace(GPU_HOST.gpus[0], vendor=Vendor.INTEL),)),
            ["MG4006"],
        ),
        ({"a": {"engine": "llamacpp"}, "b": {**LLAMA, "gpus": 3}}, GPU_HOST, ["MG3007", "MG4002"]),
    ],
)
def test_what_cannot_be_served_is_a_fault(models: dict[str, Any], facts: HostFacts, expected: list[str]) -> None:
    assert sorted(codes(models, context(facts))) == sorted(expected)


def test_more_models_than_addresses_is_a_fault_and_no_crash() -> None:
    models = {f"m{number}": LLAMA for number in range(240)}
    assert codes(models, network={"subnet": "10.133.0.0/24"}) == ["MG4004"]


def test_a_model_of_unknown_size_beside_another_is_a_warning() -> None:
    vllm = {"engine": "vllm", "source": "hf://a/b", "gpus": [0]}
    known = {**LLAMA, "vram": "4GiB", "gpus": [0]}
    assert codes({"a": vllm}, context(GPU_HOST)) == []
    _, report, gpus = compile_config(config({"a": vllm, "b": known}), context(GPU_HOST))
    assert [(item.code, item.severity, item.path) for item in report] == [("MG4022", Severity.WARNING, ("models", "a"))]
    assert [row.memory for row in gpus[0].rows] == [4 * GIB, None]


def test_where_an_estimate_does_not_fit_the_hint_is_what_it_was_made_from() -> None:
    def hints(fields: dict[str, Any]) -> list[str | None]:
        host = replace(context(GPU_HOST), estimate=lambda *_: 60 * GIB)
        report = compile_config(config({"m": {**LLAMA, **fields}}), host).report
        return [item.hint for item in report if item.code == "MG4001"]

    (estimated,), (given,) = hints({}), hints({"vram": "60GiB"})
    assert estimated is not None
    assert given is not None
    assert all(f"`{name}`" in estimated for name in ("context", "parallel", "vram"))
    assert "`context`" not in given
