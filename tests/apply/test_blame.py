"""What podman's generator and systemd refuse, led back to the configuration; with their own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.checks.blame import refusal
from modelgrid.emit.artifact import Artifact, TracedText
from modelgrid.errors import ConfigError, InternalError
from tests.tools import SUITES, quadlet_generator, systemd_analyze_verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from modelgrid.diagnostics import Diagnostic

CONTAINER = """\
[Container]
Image=localhost/a:1
Moon=1
Network=x.network

[Service]
Restart=sometimes
"""
SERVICE = """\
[Service]
ExecStart=/nowhere/program --x
MemoryMax=lots
Moon=2
"""

A = Artifact(
    path="quadlets/modelgrid-model-a.container",
    content=TracedText(CONTAINER, ((3, "$.models.a.quadlet.Moon"), (4, "$.models.a.net"), (7, "$.models.a.restart"))),
)
B = Artifact(
    path="units/modelgrid-model-b.service",
    content=TracedText(SERVICE, ((2, "$.models.b.program"), (2, "$.models.b.args"), (3, "$.models.b.memory"))),
)
#: An artifact whose name begins as another's.
A2 = Artifact(path="quadlets/modelgrid-model-a-2.container", content="[Container]\n")


def faults(said: Sequence[str], generated: Mapping[str, str] | None = None) -> list[Diagnostic]:
    error = refusal("the tool", "MG4041", said, [A2, A, B], generated or {})
    assert isinstance(error, ConfigError)
    assert error.report is not None
    return list(error.report)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (
            "converting \"modelgrid-model-a.container\": unsupported key 'Moon' in group 'Container' in q/a.container",
            ("models", "a", "quadlet", "Moon"),
        ),
        (
            'converting "modelgrid-model-a.container": requested Quadlet unit x.network was not found',
            ("models", "a", "net"),
        ),
        (
            'error loading "quadlets/modelgrid-model-a.container", file contains line 3: “Moon” which is not a pair',
            ("models", "a", "quadlet", "Moon"),
        ),
        (
            "units/modelgrid-model-b.service:3: Invalid memory limit 'lots', ignoring: Invalid argument",
            ("models", "b", "memory"),
        ),
        (
            "modelgrid-model-b.service: Command /nowhere/program is not executable: No such file or directory",
            ("models", "b", "program"),
        ),
    ],
)
def test_the_words_of_a_tool_lead_to_the_value(line: str, path: tuple[str, ...]) -> None:
    (fault,) = faults([line])

    assert (fault.code, fault.path) == ("MG4041", path)
    assert line in fault.message


def test_a_line_of_a_generated_service_leads_to_the_quadlet() -> None:
    generated = {"modelgrid-model-a.service": "# podman\n[Service]\nType=notify\nRestart=sometimes\n"}
    line = "units/modelgrid-model-a.service:4: Failed to parse Restart=sometimes, ignoring: Invalid argument"
    (fault,) = faults([line], generated)

    assert fault.path == ("models", "a", "restart")


def test_every_other_part_is_named() -> None:
    (fault,) = faults(["modelgrid-model-b.service: Command /nowhere/program is not executable"])

    assert fault.hint is not None
    assert "$.models.b.args" in fault.hint


def test_what_leads_nowhere_is_our_fault_and_names_the_unit() -> None:
    error = refusal("the tool", "MG4041", ["units/modelgrid-model-b.service:4: Unknown key 'Moon'"], [A, B, A2], {})

    assert isinstance(error, InternalError)
    assert "modelgrid-model-b.service" in error.message


def test_a_fault_of_ours_beside_one_of_the_configuration_is_shown_too() -> None:
    found = faults(
        [
            "units/modelgrid-model-b.service:4: Unknown key 'Moon'",
            "units/modelgrid-model-b.service:3: Invalid memory limit 'lots'",
        ]
    )

    assert {item.path for item in found} == {(), ("models", "b", "memory")}


@pytest.mark.tools
@pytest.mark.parametrize("suite", SUITES)
def test_the_real_generator_s_refusal_leads_to_the_value(suite: str, tmp_path: Path) -> None:
    (tmp_path / "modelgrid-model-a.container").write_text(A.content, encoding="utf-8")
    done = quadlet_generator(suite)(tmp_path)
    said = [re.sub(r"^quadlet-generator\[\d+\]: ", "", line) for line in done.stderr.splitlines()]
    found = faults([line for line in said if line and not line.startswith("Loading source")])

    assert [item.path for item in found] == [("models", "a", "quadlet", "Moon")]


@pytest.mark.tools
@pytest.mark.parametrize("suite", SUITES)
def test_systemd_s_own_refusals_lead_to_the_values(suite: str, tmp_path: Path) -> None:
    (tmp_path / "modelgrid-model-b.service").write_text(B.content, encoding="utf-8")
    found = faults(systemd_analyze_verify(suite, tmp_path).stderr.splitlines())

    assert {item.path for item in found} == {("models", "b", "memory"), ("models", "b", "program"), ()}
