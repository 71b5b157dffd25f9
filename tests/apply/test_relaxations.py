"""What plan shows of units that are looser than the defaults, whichever way they say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelgrid.apply.planning.relaxations import relaxations_of
from modelgrid.apply.planning.units import units_of
from modelgrid.emit import emit
from modelgrid.emit.artifact import Artifact
from modelgrid.emit.downgrade import downgrade
from tests.emit import samples

CONTAINER = "[Container]\nImage=localhost/x:1\nNetwork=modelgrid.network\nDropCapability=all\nNoNewPrivileges=true\n"
CONTAINER += "ReadOnly=true\nVolume=/srv/models:/models:ro\nVolume=cache:/cache\n"
SERVICE = "[Service]\nExecStart=/bin/x\nIPAddressDeny=any\nIPAddressAllow=localhost\nNoNewPrivileges=yes\n"
SERVICE += "ProtectSystem=strict\nProtectClock=yes\nSystemCallFilter=@system-service\nSystemCallFilter=~@privileged\n"


def texts(content: str, *, path: str = "quadlets/modelgrid-model-a.container") -> list[str]:
    (unit,) = units_of([Artifact(path=path, content=content)]).values()
    return [item.text for item in relaxations_of(unit)]


def service(line: str) -> list[str]:
    return texts(f"{SERVICE}{line}\n", path="units/modelgrid-model-a.service")


def test_the_defaults_are_no_relaxation() -> None:
    assert texts(CONTAINER) == []
    assert service("") == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("AddCapability=SYS_PTRACE NET_ADMIN", "has the capabilities NET_ADMIN, SYS_PTRACE"),
        ("PodmanArgs=--cap-add SYS_PTRACE", "has the capabilities SYS_PTRACE"),
        ("SeccompProfile=unconfined", "may use every system call"),
        ('PodmanArgs=--security-opt "seccomp=unconfined"', "may use every system call"),
        ("AppArmor=unconfined", "is not confined by AppArmor"),
        ("SecurityLabelDisable=true", "is not confined by SELinux"),
        ("PodmanArgs=--security-opt=label:disable", "is not confined by SELinux"),
        ("SecurityLabelNested=true", "may set SELinux labels of its own"),
        ("SecurityLabelType=spc_t", "has the SELinux type spc_t"),
        ("Unmask=ALL", "sees what podman hides of /proc and /sys: ALL"),
        ("NoNewPrivileges=false", "may gain privileges by programs in its image"),
        ("PodmanArgs=--security-opt no-new-privileges=false", "may gain privileges by programs in its image"),
        ("ReadOnly=false", "may write to its root file system"),
        ("PodmanArgs=--read-only=false", "may write to its root file system"),
        ("PodmanArgs=--cpus 2 --privileged", "is privileged"),
        ("PodmanArgs=--privileged=true", "is privileged"),
        ("PodmanArgs=--pid=host", "shares processes with the host"),
        ("PodmanArgs=--ipc host", "shares shared memory and semaphores with the host"),
        ("EnvironmentHost=true", "gets the environment variables of podman"),
        ("Volume=/srv/out:/out", "may write to /srv/out of the host"),
        ("PodmanArgs=-v /srv/out:/out:rw,z", "may write to /srv/out of the host"),
        ("Mount=type=bind,source=/srv/out,destination=/out", "may write to /srv/out of the host"),
        ("PublishPort=8080:8080", "has egress: it is on modelgrid.network"),
        ("PodmanArgs=--network host", "has egress: it is on modelgrid.network, host"),
        ("[Service]\nExecStartPre=/bin/setup", "runs a command on the host before it starts: /bin/setup"),
    ],
)
def test_a_container_that_is_looser_is_shown(line: str, text: str) -> None:
    assert texts(f"{CONTAINER}{line}\n") == [text]


@pytest.mark.parametrize(
    "line",
    [
        "PodmanArgs=--privileged=false",
        "PodmanArgs=--label --privileged",
        "SecurityLabelDisable=false",
        "SeccompProfile=/etc/tight.json",
        "Volume=/srv/in:/in:ro,z",
        "Mount=type=bind,source=/srv/in,destination=/in,ro=true",
        "Mount=type=bind,source=/srv/in,destination=/in,readonly",
        "Mount=type=tmpfs,destination=/x",
        'PodmanArgs="--mount=type=bind,source=/srv/a b,destination=/b,ro=true"',
    ],
)
def test_a_container_that_is_not_looser_is_not_shown(line: str) -> None:
    assert texts(f"{CONTAINER}{line}\n") == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ProtectClock=no", "does without ProtectClock"),
        ("ProtectSystem=full", "may write to files of the system where its user may"),
        ("NoNewPrivileges=false", "may gain privileges by set-user-id programs"),
        ("IPAddressAllow=10.0.0.0/8", "may exchange packets with 10.0.0.0/8"),
        ("AmbientCapabilities=CAP_IPC_LOCK", "has the capabilities CAP_IPC_LOCK"),
        ("ReadWritePaths=/srv/out", "may write to /srv/out of the host"),
        ("SystemCallFilter=@mount", "may use the system calls @mount"),
        ("ExecStartPre=/bin/setup", "runs a command on the host before it starts: /bin/setup"),
    ],
)
def test_a_service_that_is_looser_is_shown(line: str, text: str) -> None:
    assert service(line) == [text]


@pytest.mark.parametrize("podman", [(4, 4), (4, 7), (4, 9), (5, 4)])
def test_an_older_podman_changes_nothing_of_what_is_shown(podman: tuple[int, int]) -> None:
    loose = Artifact(
        path="quadlets/modelgrid-model-a.container",
        content=f"{CONTAINER}AppArmor=unconfined\nSecurityLabelDisable=true\nUnmask=ALL\n",
    )
    old = downgrade(loose, podman=podman, systemd=257, user=True)

    assert texts(old.content) == texts(loose.content)
    trees = [emit(replace(samples.FULL, podman=version)) for version in [podman, (5, 8)]]
    shown = [[relaxations_of(unit) for unit in units_of(tree).values() if unit.model] for tree in trees]
    assert shown[0] == shown[1]


RUN = "/usr/bin/docker run --name x --rm --network modelgrid --ip 10.0.0.2 --cap-drop all"
RUN += " --security-opt no-new-privileges --read-only --tmpfs /tmp"


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("", []),
        ("--volume /srv:/srv:ro", []),
        ("--volume /srv:/srv", ["may write to /srv of the host"]),
        ("--cap-add SYS_PTRACE", ["has the capabilities SYS_PTRACE"]),
        ("--security-opt label=disable", ["is not confined by SELinux"]),
        ("--publish 127.0.0.1:80:80", ["has egress: it is on modelgrid"]),
    ],
)
def test_a_service_that_runs_a_container_is_looked_at_as_one(option: str, shown: list[str]) -> None:
    pre = "ExecStartPre=-/usr/bin/docker rm --force x\n"
    text = f"[Service]\n{pre}ExecStart={RUN} {option} localhost/x:1 --privileged --cap-add ALL\n"

    assert texts(text, path="units/modelgrid-model-a.service") == shown


def test_a_plain_service_shows_what_its_quadlet_would() -> None:
    shown = {
        unit.model: [item.text for item in relaxations_of(unit)]
        for unit in units_of(emit(samples.PLAIN_HOST)).values()
        if unit.model
    }

    assert shown == {
        samples.DOCKER.name: [],
        samples.PLAIN.name: [
            "has egress: it is on the default network of podman",
            "may write to its root file system",
        ],
    }
