"""Containers by plain services: for Docker, and for a podman that has no generator of units.

What podman's generator would write for podman (podman-systemd.unit(5)), and the like for Docker. Options are those of
podman-run(1) and of Docker's reference of ``docker run``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit import names
from modelgrid.emit.artifact import UNITS, Artifact
from modelgrid.emit.model import gpu_gate, health_gate, render_model, stop_seconds
from modelgrid.emit.quoting import Specifier, Unrepresentable, traced
from modelgrid.emit.render import render
from modelgrid.emit.systemd_quoting import command, line, note, token, word
from modelgrid.ir import Isolated, Manager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelgrid.emit.quoting import Value
    from modelgrid.ir import Container, Deployment, ModelServer, Mount, Network

#: Since this version podman kills a container whose health check fails (podman's release notes, 4.2).
_KILLS_UNHEALTHY = (4, 2)

_CDI_NVIDIA = "nvidia.com/gpu="


def container(model: ModelServer, launch: Container, deployment: Deployment) -> Artifact:
    """Return the service that runs the container of *model*.

    Raises:
        Unrepresentable: a value cannot be written.
    """
    program, name = _program(launch.manager, deployment), names.container_name(model)
    podman = launch.manager is Manager.PODMAN
    argv: list[Value] = ["run", "--name", name, "--rm", "--pull", "never"]
    if podman:
        argv += ["--replace", "--cgroups", "split", "--sdnotify", "conmon", "--detach"]
    argv += [*_options(model, launch), *_confinement(model, launch)]
    if podman and deployment.podman >= _KILLS_UNHEALTHY:
        argv += _health(model, launch)
    # one line has it all
    everything = tuple(dict.fromkeys(path for paths in model.origins.values() for path in paths if path[0] == "$"))
    after_start = [health_gate(model, deployment)]
    after_start += [command(program, "exec", name, *words) for words in launch.after_start]
    values: dict[str, object] = {
        "podman": podman,
        "gpu_gate": gpu_gate(model, launch, deployment),
        "image_unit": token(image_service(launch.manager, launch.image)) if launch.pull else "",
        "network_unit": token(network_service(launch.manager)) if model.isolated else "",
        "mounts": [word(mount.source) for mount in launch.mounts],
        "fetches": launch.fetches,
        "command": traced(everything, command, program, *argv, launch.image, *launch.arguments),
        "remove": command(program, "rm", "--force", *(["--ignore", "--time", "0"] if podman else []), name),
        "stop": command(program, "stop", "--time", str(stop_seconds(model)), name),
        "after_start": after_start,
        "manager": token(launch.manager.value),
    }
    content = render_model("systemd/container.service.j2", model, deployment, values)
    return Artifact(path=f"{UNITS}/{model.unit}", content=content)


def image(launch: Container, deployment: Deployment) -> Artifact:
    """Return the service that pulls the image of *launch* where it is not there yet.

    Raises:
        Unrepresentable: the container engine would take it for an option.
    """
    manager, reference = launch.manager, launch.image
    _check_image(reference)
    program = _program(manager, deployment)
    values = {
        "size": token(launch.pull_size) if launch.pull_size else "",
        "description": line(reference),
        "docker": manager is Manager.DOCKER,
        "manager": token(manager.value),
        "missing": command("/bin/sh", "-c", f'! {program} image inspect "$0" >/dev/null 2>&1', reference),
        "pull": command(program, "pull", reference),
        "reference": note(reference),
    }
    content = render("systemd/image.service.j2", values)
    return Artifact(path=f"{UNITS}/{image_service(manager, reference)}", content=content)


def network(parameters: Network, deployment: Deployment) -> Artifact:
    """Return the service that makes the internal network, and removes it when it stops."""
    program, name = _program(parameters.manager, deployment), names.NETWORK_NAME
    subnet = ("--internal", "--subnet", parameters.subnet, "--gateway", parameters.gateway)
    plugin = ("--disable-dns",) if parameters.manager is Manager.PODMAN else ()
    values = {
        "docker": parameters.manager is Manager.DOCKER,
        "name": token(name),
        "manager": token(parameters.manager.value),
        "create": command(
            program, "network", "create", *subnet, *plugin, "--label", f"{names.MANAGED_LABEL}=true", name
        ),
        "remove": command(program, "network", "rm", name),
    }
    content = render("systemd/network.service.j2", values)
    return Artifact(path=f"{UNITS}/{network_service(parameters.manager)}", content=content)


def _program(manager: Manager, deployment: Deployment) -> str:
    return deployment.docker_program if manager is Manager.DOCKER else deployment.podman_program


def image_service(manager: Manager, reference: str) -> str:
    """Return the name of the service that pulls *reference*."""
    return f"{names.image_file(reference).removesuffix('.image')}-{manager.value}-image.service"


def network_service(manager: Manager) -> str:
    """Return the name of the service that makes the internal network."""
    return f"modelgrid-{manager.value}-network.service"


def _options(model: ModelServer, launch: Container) -> Iterator[Value]:
    """Yield the options that say what the container is and sees."""
    yield from ("--entrypoint", launch.entrypoint) if launch.entrypoint else ()
    for key, value in model.environment:
        yield from ("--env", f"{key}={value}")
    for mount in launch.mounts:
        yield from _mount(mount)
    for item in model.credentials:
        # %d: the folder of the unit's credentials (systemd.unit(5), SPECIFIERS)
        yield from ("--volume", (Specifier("%d"), f"/{item.name}:/run/secrets/{item.name}:ro"))
    for volume in launch.volumes:
        yield from ("--volume", f"{volume.name}:{volume.target}")
    for secret in launch.podman_secrets:
        yield from ("--secret", names.secret_option(secret))
    yield from _devices(launch)
    for group in launch.groups:
        yield from ("--group-add", group)
    if launch.shm_size:
        yield from ("--shm-size", f"{launch.shm_size}b")
    match launch.attachment:
        case Isolated(address=address):
            yield from ("--network", names.NETWORK_NAME, "--ip", address)
            yield from ("--mac-address", names.hardware_address(address))
        case published:
            yield from ("--publish", f"127.0.0.1:{published.port}:{launch.port}")
    for key, value in names.labels(model):
        yield from ("--label", f"{key}={value}")
    yield from ("--stop-timeout", str(stop_seconds(model)))


def _mount(mount: Mount) -> Iterator[str]:
    if mount.relabel:
        # Docker's --mount has no word for it; what the user mounts has no colon
        yield from ("--volume", f"{mount.source}:{mount.target}:{names.mount_flags(mount)}")
    else:
        yield from ("--mount", names.mount_option(mount))


def _confinement(model: ModelServer, launch: Container) -> Iterator[str]:
    """Yield what the container may not do."""
    yield from ("--cap-drop", "all", "--security-opt", "no-new-privileges")
    if not launch.writable:
        yield "--read-only"
    if launch.selinux.disable:
        yield from ("--security-opt", "label=disable")
    elif launch.selinux.type:
        yield from ("--security-opt", f"label=type:{launch.selinux.type}")
    if launch.manager is not Manager.DOCKER:
        return
    if not launch.writable:
        # podman has one of its own for a read-only root
        yield from ("--tmpfs", "/tmp")  # noqa: S108  in the container
    # Docker's daemon makes the container outside of the service's control group, and so of its limits
    limits = model.resources
    yield from ("--memory", f"{limits.memory}b") if limits.memory else ()
    yield from ("--cpus", f"{limits.cpus:g}") if limits.cpus else ()
    yield from ("--pids-limit", str(limits.tasks)) if limits.tasks else ()


def _devices(launch: Container) -> Iterator[str]:
    nvidia = [device.removeprefix(_CDI_NVIDIA) for device in launch.devices if device.startswith(_CDI_NVIDIA)]
    if nvidia and launch.manager is Manager.DOCKER:
        # Docker's own way, which every release of NVIDIA's container toolkit has; the value is one field of a CSV line
        yield from ("--gpus", f'"device={",".join(nvidia)}"')
    for device in launch.devices:
        if not (device.startswith(_CDI_NVIDIA) and launch.manager is Manager.DOCKER):
            yield from ("--device", device)


def _health(model: ModelServer, launch: Container) -> Iterator[str]:
    """Yield what kills a server that hangs. That it is ready, the gate of the host tells."""
    if launch.health_command:
        yield from ("--health-cmd", launch.health_command)
        yield from ("--health-interval", f"{model.health.interval:g}s", "--health-timeout", "30s")
        yield from ("--health-retries", "3", "--health-start-period", f"{model.health.start_timeout:g}s")
        yield from ("--health-on-failure", "kill")


def _check_image(reference: str) -> None:
    if reference.startswith("-"):
        raise Unrepresentable(reference, "begins with a dash, which is taken for an option")
