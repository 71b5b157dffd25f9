"""Small trees in the form that emit gives them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from modelgrid.emit import emit, systemd
from modelgrid.emit.artifact import Artifact
from modelgrid.ir import Manager, Network
from tests.emit import samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GATEWAY = "modelgrid-gateway.service"
TARGET = "modelgrid.target"
NETWORK = "modelgrid-network.service"


def unit_of(slug: str) -> str:
    return f"modelgrid-model-{slug}.service"


def container(slug: str, *, context: int = 4096, image: str = "localhost/llama:1", comment: str = "") -> Artifact:
    """A model in a container; an image that does not begin with localhost/ is pulled by a unit of its own."""
    reference = image if image.startswith("localhost/") else image_file(image)
    return Artifact(
        path=f"quadlets/modelgrid-model-{slug}.container",
        content=(
            f"# {comment}\n[Unit]\nDescription=Model {slug} {comment}\nPartOf=modelgrid.target\n\n"
            f"[Container]\nContainerName=modelgrid-model-{slug}\n"
            f"Image={reference}\nExec=--ctx-size {context}\nNetwork=modelgrid.network\n"
            f"DropCapability=all\nNoNewPrivileges=true\nReadOnly=true\n\n[Service]\nTimeoutStartSec=600s\n\n"
            f'[X-ModelGrid]\nModel={slug}:latest\nOrigin=$.models["{slug}:latest"]\n\n[Install]\nWantedBy=modelgrid.target\n'
        ),
    )


def image_file(image: str) -> str:
    return f"modelgrid-image-{image.replace('/', '-').replace(':', '-')}.image"


def image(reference: str) -> Artifact:
    return Artifact(path=f"quadlets/{image_file(reference)}", content=f"[Image]\nImage={reference}\n")


def network(subnet: str = "10.133.0.0/16") -> Artifact:
    return Artifact(
        path="quadlets/modelgrid.network",
        content=f"[Network]\nNetworkName=modelgrid\nInternal=true\nSubnet={subnet}\n",
    )


def native(slug: str, *, context: int = 4096) -> Artifact:
    return Artifact(
        path=f"units/modelgrid-model-{slug}.service",
        content=(
            f"[Unit]\nDescription=Model {slug}\nPartOf=modelgrid.target\n\n[Service]\nType=exec\n"
            f"ExecStart=/usr/bin/server --ctx-size {context}\nNoNewPrivileges=yes\n"
            "ProtectSystem=strict\nIPAddressDeny=any\n\n"
            f"[X-ModelGrid]\nModel={slug}:latest\n\n[Install]\nWantedBy=modelgrid.target\n"
        ),
    )


def gateway(port: int = 8080) -> Artifact:
    return Artifact(
        path=f"units/{GATEWAY}",
        content=(
            "[Unit]\nDescription=Gateway\nPartOf=modelgrid.target\n\n[Service]\nType=notify\n"
            "ExecStart=/usr/bin/python3 -m modelgrid gateway --manifest /etc/modelgrid/current/routing.json "
            f"--listen 127.0.0.1:{port}\nRuntimeDirectory=%N\n"
            "NoNewPrivileges=yes\nProtectSystem=strict\n\n[Install]\nWantedBy=modelgrid.target\n"
        ),
    )


def target() -> Artifact:
    return systemd.target(samples.FULL)


def routing(models: Iterable[str], *, api: str = "/v1/chat/completions") -> Artifact:
    routes = [{"model": f"{model}:latest", "aliases": [], "apis": [api]} for model in sorted(models)]
    return Artifact(path="routing.json", content=json.dumps({"manifest_version": 1, "routes": routes}) + "\n")


def keys(names: Iterable[str] = ()) -> Artifact:
    content = json.dumps({"keys_version": 1, "keys": [{"name": name} for name in sorted(names)]}) + "\n"
    return Artifact(path="keys.json", content=content, mode=0o600)


def tree(
    containers: Mapping[str, int] | Iterable[str] = (),
    natives: Mapping[str, int] | Iterable[str] = (),
    *,
    subnet: str = "10.133.0.0/16",
    key_names: Iterable[str] = (),
    pulled: str = "",
    comment: str = "",
    api: str = "/v1/chat/completions",
    port: int = 8080,
) -> tuple[Artifact, ...]:
    """A whole tree. Models are given by slug, or as a mapping of slug to context length."""
    podman = containers if hasattr(containers, "items") else dict.fromkeys(containers, 4096)
    plain = natives if hasattr(natives, "items") else dict.fromkeys(natives, 4096)
    reference = pulled or "localhost/llama:1"
    items = [target(), gateway(port), keys(key_names), routing((*podman, *plain), api=api)]
    items += [container(slug, context=size, image=reference, comment=comment) for slug, size in podman.items()]
    items += [native(slug, context=size) for slug, size in plain.items()]
    if podman:
        items.append(network(subnet))
    if podman and pulled:
        items.append(image(pulled))
    return tuple(sorted(items))


def hosted(manager: Manager, *, subnet: str = "10.133.0.0/16", pull: bool = True) -> tuple[Artifact, ...]:
    """A tree that emit writes: one isolated model whose container *manager* makes."""
    launch = replace(samples.ISOLATED_LAUNCH, manager=manager, pull=pull)
    server = replace(samples.ISOLATED, launch=launch)
    network = Network(manager=manager, subnet=subnet, gateway=subnet.replace("0.0/16", "0.1"))
    podman = (4, 3, 1) if manager is Manager.PODMAN else (5, 4, 2)
    return emit(
        replace(samples.FULL, servers=(server,), routes=(samples.route(server),), networks=(network,), podman=podman)
    )
