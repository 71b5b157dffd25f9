from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit import emit
from modelgrid.emit.artifact import Artifact, TracedText
from modelgrid.emit.names import unit_name
from modelgrid.review.lines import Explained, experiments, explain_lines
from tests.emit import samples
from tests.tools import SUITES, quadlet_generator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXT = """\
[Container]
Image=localhost/a:1
Environment=A=1
Environment="B=two words"
NoNewPrivileges=true
ReadOnly=false
Exec=--ctx 1 "a b"

[Service]
Restart=on-failure
"""
UNIT = Artifact(
    path="quadlets/modelgrid-model-a.container",
    content=TracedText(TEXT, ((3, "$.models.a.environment.A"), (7, "$.models.a.context"), (7, "engine x (built in)"))),
)


def by_line(artifact: Artifact, generated: Mapping[str, str] | None = None) -> dict[int, Explained]:
    return {item.line: item for item in explain_lines(artifact, generated)}


def test_each_line_has_its_key_value_and_origins() -> None:
    lines = by_line(UNIT)

    assert set(lines) == {2, 3, 4, 5, 6, 7, 10}
    assert (lines[3].key, lines[3].value, lines[3].origins) == (
        "Container.Environment",
        "A=1",
        ("$.models.a.environment.A",),
    )
    assert lines[7].origins == ("$.models.a.context", "engine x (built in)")
    assert lines[10].origins == ()


def test_without_a_generator_the_table_has_the_arguments() -> None:
    found = {number: item.podman for number, item in by_line(UNIT).items()}

    assert found == {
        2: ("localhost/a:1",),
        3: ("--env", "A=1"),
        4: ("--env", '"B=two words"'),
        5: ("--security-opt", "no-new-privileges"),
        6: ("--read-only=false",),
        7: ("--ctx", "1", '"a b"'),
        10: None,
    }


def test_a_plain_unit_needs_no_experiment() -> None:
    assert experiments(Artifact(path="units/a.service", content="[Service]\nExecStart=/a\n")) == {}


@pytest.mark.tools
@pytest.mark.parametrize("suite", SUITES)
def test_the_generator_s_arguments_are_led_back_to_their_lines(suite: str, tmp_path: Path) -> None:
    (tmp_path / "modelgrid-model-a.container").write_text(TEXT, encoding="utf-8")
    for name, text in experiments(UNIT).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {number: item.podman for number, item in by_line(UNIT, units(suite, tmp_path)).items()}

    assert found[2] == ("localhost/a:1",)
    assert found[3] == ("--env", "A=1")
    assert found[4] is not None
    assert found[4][0] == "--env"
    assert "two" in found[4][1]
    assert found[5] in {("--security-opt=no-new-privileges",), ("--security-opt", "no-new-privileges")}
    assert found[6] == ("--read-only=false",)
    assert found[7] is not None
    assert found[7][:2] == ("--ctx", "1")
    assert found[10] is None


@pytest.mark.tools
@pytest.mark.parametrize("suite", SUITES)
def test_every_argument_of_a_real_container_is_some_line_s_or_podman_s_own(suite: str, tmp_path: Path) -> None:
    artifacts = [item for item in emit(samples.FULL) if item.path.startswith("quadlets/")]
    subject = next(item for item in artifacts if item.path.endswith(".container"))
    for item in artifacts:
        (tmp_path / item.path.rpartition("/")[2]).write_text(item.content, encoding="utf-8")
    for name, text in experiments(subject).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    generated = units(suite, tmp_path)
    lines = explain_lines(subject, generated)

    assert unit_name(subject.path) in generated
    silent = {item.key for item in lines if item.podman == ()}
    # these have effect in the service, not in the command
    assert silent <= {"Container.Network", "Container.Notify", "Container.Label"}
    assert all(item.podman is None for item in lines if not item.key.startswith("Container."))


def units(suite: str, folder: Path) -> dict[str, str]:
    stdout = quadlet_generator(suite)(folder).stdout
    parts = re.split(r"^---(.+)---$", stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
