from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit import emit
from modelgrid.emit.artifact import Artifact
from modelgrid.emit.keys import check_support
from modelgrid.errors import ConfigError, InternalError
from tests.emit import samples

if TYPE_CHECKING:
    from modelgrid.ir import Deployment


def support(text: str, *, podman: tuple[int, ...] = (), systemd: int = 0) -> None:
    check_support(Artifact(path="quadlets/a.container", content=text), podman=podman, systemd=systemd)


@pytest.mark.parametrize("podman", [(5, 0), (5, 0, 3), (5, 4, 2), (6, 0, 0), ()])
def test_a_key_is_taken_from_its_first_podman_on(podman: tuple[int, ...]) -> None:
    support("[Container]\nStopTimeout=1\n", podman=podman)


@pytest.mark.parametrize("podman", [(4, 9, 3), (4, 4)])
def test_an_older_podman_is_refused_by_the_name_of_the_key(podman: tuple[int, ...]) -> None:
    with pytest.raises(
        ConfigError, match=r"quadlets/a.container needs StopTimeout=, .* podman 5\.0, .* has 4\."
    ) as caught:
        support("[Container]\nStopTimeout=1\n", podman=podman)

    assert caught.value.hint is not None


def test_a_health_gate_is_refused_where_podman_would_ignore_it() -> None:
    support("[Container]\nNotify=true\n", podman=(4, 9, 3))
    with pytest.raises(ConfigError, match="Notify"):
        support("[Container]\nNotify=healthy\n", podman=(4, 9, 3))


def test_an_older_systemd_is_refused_by_the_name_of_the_key() -> None:
    support("[Service]\nRestartSteps=5\n", systemd=254)
    with pytest.raises(ConfigError, match=r"RestartSteps=, which came with systemd 254, and the target has 253"):
        support("[Service]\nRestartSteps=5\n", systemd=253)


def test_a_key_without_a_version_is_our_fault() -> None:
    with pytest.raises(InternalError, match=r"Moon= in \[Container\]"):
        support("[Container]\nMoon=1\n")


@pytest.mark.parametrize("podman", [(4, 4, 0), (4, 9, 3), (5, 3), (5, 4, 2), (5, 8, 2)])
@pytest.mark.parametrize("sample", samples.ALL.values(), ids=samples.ALL)
def test_every_sample_is_written_for_every_podman_with_quadlet(sample: Deployment, podman: tuple[int, ...]) -> None:
    emit(replace(sample, podman=podman))


def test_a_kind_of_file_is_taken_from_its_first_podman_on() -> None:
    image = Artifact(path="quadlets/a.image", content="[Image]\nImage=a\n")
    check_support(image, podman=(4, 8), systemd=257)
    with pytest.raises(ConfigError, match=r"needs \.image, which came with podman 4\.8, and the target has 4\.7"):
        check_support(image, podman=(4, 7), systemd=257)


def test_a_value_may_be_younger_than_its_key() -> None:
    support("[Service]\nType=notify\n", systemd=239)
    with pytest.raises(ConfigError, match=r"Type=, which came with systemd 240"):
        support("[Service]\nType=exec\n", systemd=239)


def test_pauses_grow_where_systemd_has_it() -> None:
    contents = "".join(artifact.content for artifact in emit(samples.FULL))
    old = "".join(artifact.content for artifact in emit(samples.OLD_SYSTEMD))

    assert "RestartSteps=" in contents
    assert "RestartSteps=" not in old


def test_emit_refuses_a_target_that_is_too_old() -> None:
    with pytest.raises(ConfigError):
        emit(replace(samples.FULL, podman=(4, 3, 1)))
    with pytest.raises(ConfigError):
        emit(replace(samples.EMPTY, systemd=239))
