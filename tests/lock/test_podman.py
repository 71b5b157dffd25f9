"""What a lock pins is what the podman of Debian's suites pulls."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from modelgrid.lock.references import parse_reference
from modelgrid.lock.registry import Registry
from modelgrid.lock.values import Lock
from modelgrid.lock.web import Web
from tests.lock.images import Pusher
from tests.machine.overlay import run_in_root
from tests.machine.rootfs import host_root
from tests.tools import SUITES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.tools import Result

pytestmark = [pytest.mark.tools, pytest.mark.parametrize("suite", SUITES)]


def podman(suite: str, *commands: Sequence[str]) -> Result:
    """Run podman's *commands*, one after the other, on a store of their own."""
    start = "podman --root /tmp/store --runroot /tmp/run --storage-driver vfs --cgroup-manager cgroupfs"
    script = " && ".join(f"{start} {shlex.join(command)}" for command in commands)
    # podman looks for the kind of cgroups below /sys before anything else
    return run_in_root([host_root(suite)], ["sh", "-c", f"mount -t sysfs sysfs /sys && {script}"])


def test_podman_takes_tag_and_digest_and_goes_by_the_digest(suite: str, registry: str) -> None:
    push = Pusher(registry)
    reference = f"{registry}/team/serve:1"
    first = push.runnable("team/serve", "1", "first")
    with Web() as web:
        lock = Lock(images={reference: Registry(web, logins=()).image(parse_reference(reference))})
    pin = lock.pin(reference)
    assert pin == f"{reference}@{first.digest}"
    push.runnable("team/serve", "1", "moved")

    done = podman(
        suite,
        ["pull", "--quiet", "--tls-verify=false", "--arch", "arm64", pin],
        ["image", "exists", pin],
        ["image", "inspect", "--format", "{{.Architecture}} {{.RepoDigests}}", pin],
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()[-1]
    # both digests of the lock are those that podman knows the image by
    assert shown.startswith("arm64 ")
    assert f"{registry}/team/serve@{first.digest}" in shown
    assert f"{registry}/team/serve@{lock.images[reference].architectures['arm64'].digest}" in shown
