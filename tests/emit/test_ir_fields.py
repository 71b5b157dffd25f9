"""Every field of the IR is read by an emitter: another value of it changes what is emitted."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid import ir
from modelgrid.emit import emit
from modelgrid.errors import ModelGridError
from tests.emit import samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.ir import Deployment


def _gateway(gateway: ir.GatewayService) -> Deployment:
    return replace(samples.FULL, gateway=gateway)


#: For each class where one is, how it is put into a deployment, and another value for each of its fields.
CHANGES: list[tuple[Any, Callable[[Any], Deployment], dict[str, Any]]] = [
    (
        samples.ISOLATED_LAUNCH,
        samples.isolated,
        {
            "image": "localhost/other:1",
            "pull": False,
            "pull_size": 1,
            "entrypoint": "",
            "arguments": ("--other",),
            "attachment": ir.Published(port=20009),
            "mounts": (),
            "volumes": (ir.Volume(name="cache", target="/cache"),),
            "devices": (),
            "shm_size": 1,
            "health_command": "",
            "after_start": (("true",),),
            "fetches": True,
            "writable": True,
            "manager": ir.Manager.DOCKER,
            "groups": ("keep-groups",),
            "podman_secrets": (ir.PodmanSecret(name="a", variable="A"),),
            "selinux": ir.Selinux(disable=True),
        },
    ),
    (samples.PUBLISHED_LAUNCH, samples.published, {"port": 1}),
    (
        samples.NATIVE_LAUNCH,
        samples.process,
        {
            "argv": ("/bin/true",),
            "devices": (),
            "state_directory": "",
            "egress": True,
            "after_start": (),
        },
    ),
    (
        samples.ISOLATED,
        samples.with_model,
        {
            "name": "other",
            "slug": "other",
            "engine": "other",
            "models": ("other",),
            "launch": samples.NATIVE_LAUNCH,
            "health": ir.Health(path="/", start_timeout=1.0),
            "environment": (),
            "stop_timeout": 1.0,
            "claims": (),
            "on_demand": True,
            "on_change": ir.OnChange.KEEP_OLD,
            "conflicts": ("modelgrid-model-a.service",),
            "starts_after": ("modelgrid-model-a.service",),
            "resources": ir.Resources(memory=1),
            "quadlet": (("Ulimit", ("nofile=1",)),),
            "systemd": (("Nice", (5,)),),
            "credentials": (ir.Credential(name="a", source="/a", variable="A_PATH"),),
            "origin": ir.Origin(path="$.other"),
        },
    ),
    (samples.NATIVE, samples.with_model, {"endpoint": ir.Endpoint(host="127.0.0.1", port=1)}),
    (
        samples.ROUTES[0],
        lambda route: replace(samples.FULL, routes=(route,)),
        {
            "name": "other",
            "engine": "other",
            "aliases": (),
            "upstream_model": "other",
            "apis": (),
            "endpoints": (),
            "health_path": "/",
            "fallback": ("small",),
        },
    ),
    (
        ir.Resources(memory=1, cpus=1.0, tasks=1),
        lambda limits: samples.with_model(replace(samples.ISOLATED, resources=limits)),
        {"memory": 2, "cpus": 0.5, "tasks": 2},
    ),
    (samples.PLAIN_HOST, lambda deployment: deployment, {"docker_program": "/opt/bin/docker"}),
    (
        ir.Resources(memory=1, cpus=1.0, tasks=1),
        lambda limits: samples.with_model(replace(samples.DOCKER, resources=limits)),
        {"memory": 2, "cpus": 0.5, "tasks": 2},
    ),
    (
        ir.Credential(name="a", source="/a", variable="A_PATH"),
        lambda item: samples.with_model(replace(samples.NATIVE, credentials=(item,))),
        {"name": "b", "source": "/b", "variable": "B_PATH", "encrypted": True},
    ),
    (
        ir.PodmanSecret(name="a", variable="A"),
        lambda item: samples.isolated(replace(samples.ISOLATED_LAUNCH, podman_secrets=(item,))),
        {"name": "b", "variable": "B", "path": "/run/secrets/a"},
    ),
    (
        ir.Selinux(type="a_t"),
        lambda item: samples.isolated(replace(samples.ISOLATED_LAUNCH, selinux=item)),
        {"type": "b_t", "disable": True},
    ),
    (
        ir.Mount(source="/a", target="/b"),
        lambda mount: samples.isolated(replace(samples.ISOLATED_LAUNCH, mounts=(mount,))),
        {"source": "/c", "target": "/c", "writable": True, "relabel": True},
    ),
    (
        ir.Volume(name="a", target="/b"),
        lambda volume: samples.isolated(replace(samples.ISOLATED_LAUNCH, volumes=(volume,))),
        {"name": "c", "target": "/c"},
    ),
    (
        ir.Isolated(address="10.133.7.9"),
        lambda attachment: samples.isolated(replace(samples.ISOLATED_LAUNCH, attachment=attachment)),
        {"address": "10.133.7.10"},
    ),
    (
        ir.Published(port=20001),
        lambda attachment: samples.published(replace(samples.PUBLISHED_LAUNCH, attachment=attachment)),
        {"port": 20002},
    ),
    (
        samples.NATIVE.health,
        lambda health: samples.with_model(replace(samples.NATIVE, health=health)),
        {"path": "/ready", "start_timeout": 1.0},
    ),
    (
        samples.ISOLATED.health,
        lambda health: samples.with_model(replace(samples.ISOLATED, health=health)),
        {"interval": 7.0},
    ),
    (
        samples.NATIVE.endpoint,
        lambda endpoint: samples.with_model(replace(samples.NATIVE, endpoint=endpoint)),
        {"host": "10.133.7.10", "port": 1},
    ),
    (
        ir.GpuClaim(uuid="a", memory=1, held=1),
        lambda claim: samples.with_model(replace(samples.ISOLATED, claims=(claim,))),
        {"uuid": "b", "memory": 2, "held": 2},
    ),
    (
        samples.GPU,
        lambda gpu: replace(samples.FULL, gpus=(gpu,)),
        {"uuid": "b", "index": 1, "name": "other", "memory": 2, "reserve": 2},
    ),
    (
        samples.ISOLATED.origin,
        lambda origin: samples.with_model(replace(samples.ISOLATED, origin=origin)),
        {"path": "$.other"},
    ),
    (
        samples.GATEWAY,
        _gateway,
        {
            "listen": ir.Endpoint(host="0.0.0.0", port=8080),
            "python": "/usr/bin/python3",
            "keys": (),
            "max_body": 1,
            "hold_time": 0.0,
            "hold_requests": 1,
        },
    ),
    (
        samples.GATEWAY.keys[0],
        lambda key: _gateway(replace(samples.GATEWAY, keys=(key,))),
        {"name": "other", "sha256": "00" * 32, "models": ("*",)},
    ),
    (
        samples.FULL.networks[0],
        lambda network: replace(samples.FULL, networks=(network,)),
        {"manager": ir.Manager.DOCKER, "subnet": "10.134.0.0/16", "gateway": "10.133.0.2"},
    ),
    (
        samples.MONITOR,
        lambda monitor: replace(samples.MONITORED, monitor=monitor),
        {"every": 60.0, "metrics": "", "python": "/usr/bin/python3"},
    ),
    (
        samples.FULL,
        lambda deployment: deployment,
        {
            "monitor": samples.MONITOR,
            "scope": ir.Scope.USER,
            "gateway": replace(samples.GATEWAY, max_body=1),
            "servers": (),
            "routes": (),
            "networks": (),
            "podman": (4, 9, 3),
            "systemd": 252,
            "gpus": (),
            "settings": (("$.models.x.context", 1),),
            "podman_program": "/run/current-system/sw/bin/podman",
        },
    ),
]

#: What says where a value comes from, and nothing of what runs: a fault that is found while emitting names it.
NOT_EMITTED = {
    (ir.Origin, "location"),
    (ir.GatewayService, "origin"),
    (ir.Monitor, "origin"),
    (ir.ModelServer, "origins"),
}


def outcome(deployment: Deployment) -> object:
    try:
        return emit(deployment)
    except ModelGridError as error:
        return error.message


@pytest.mark.parametrize(
    ("base", "put", "name", "value"),
    [(base, put, name, value) for base, put, changes in CHANGES for name, value in changes.items()],
    ids=[f"{type(base).__name__}.{name}" for base, _, changes in CHANGES for name in changes],
)
def test_a_changed_field_changes_what_is_emitted(
    base: Any, put: Callable[[Any], Deployment], name: str, value: Any
) -> None:
    assert outcome(put(replace(base, **{name: value}))) != outcome(put(base))


def test_every_field_of_the_ir_is_changed_above() -> None:
    kinds = {kind for kind in vars(ir).values() if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")}
    everything = {(kind, field.name) for kind in kinds for field in fields(kind)}
    changed = {(type(base), name) for base, _, changes in CHANGES for name in changes}

    assert everything - changed == NOT_EMITTED
