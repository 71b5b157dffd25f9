"""The table of podman's keys, and units for older hosts, held against podman's own generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.emit.names import unit_name
from modelgrid.emit.podman_keys import PODMAN
from modelgrid.emit.unitfile import parse_unit
from tests.emit import reader, samples
from tests.emit.key_samples import write_key_samples
from tests.emit.podman_meaning import Run, read_run
from tests.emit.test_downgrade import GATE, downgraded
from tests.emit.test_real_tools import complaints, generated_units
from tests.tools import SUITES, quadlet_generator

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.emit.artifact import Artifact

pytestmark = [pytest.mark.tools, pytest.mark.parametrize("suite", SUITES)]

#: The podman of each suite.
PODMAN_OF = {"trixie": (5, 4), "forky": (5, 8)}

#: Options that quadlet writes in their short form.
SHORT = {"--volume": "-v"}

AFTER = ("Service", "ExecStartPost")


def test_the_generator_takes_the_keys_of_its_version_and_no_later_one(suite: str, tmp_path: Path) -> None:
    units = write_key_samples(tmp_path)
    found = generated_units(quadlet_generator(suite)(tmp_path).stdout)
    # of [Quadlet] it says nothing
    tables = {key: PODMAN[key[0]][key[1]] for key in units if key[0] != "Quadlet"}

    # an older one would take the name for the container's own file
    taken = {key for key in tables if units[key] in found and key[1] != "ServiceName"}
    wanted = {key for key, entry in tables.items() if entry.since <= PODMAN_OF[suite] and key[1] != "ServiceName"}
    assert taken == wanted
    for key in taken:
        words = parse_unit(found[units[key]])["Service", "ExecStart"][-1]
        entry = tables[key]
        assert SHORT.get(entry.option, entry.option) in words
        assert entry.prefix in words


def write_quadlets(artifacts: list[Artifact], folder: Path) -> Path:
    for artifact in artifacts:
        if artifact.path.startswith("quadlets/"):
            (folder / artifact.path.removeprefix("quadlets/")).write_text(artifact.content, encoding="utf-8")
    return folder


def runs(suite: str, folder: Path) -> dict[str, Run]:
    result = quadlet_generator(suite)(folder)
    assert (result.returncode, complaints(result.stderr)) == (0, [])
    lines = {
        name: parse_unit(text)["Service", "ExecStart"][-1] for name, text in generated_units(result.stdout).items()
    }
    return {
        name: read_run(reader.command(line.replace("%t/%N.cid", "CIDFILE")))
        for name, line in lines.items()
        if " run " in line
    }


@pytest.mark.parametrize("podman", [(4, 4), (4, 7), (4, 9), (5, 2)])
@pytest.mark.parametrize("name", ["full", "open"])
def test_what_is_written_for_an_older_podman_means_the_same_to_a_new_one(
    name: str, podman: tuple[int, int], suite: str, tmp_path: Path
) -> None:
    pairs = downgraded(samples.ALL[name], podman)
    for folder in ("new", "old"):
        (tmp_path / folder).mkdir()
    wanted = runs(suite, write_quadlets([new for new, _ in pairs], tmp_path / "new"))
    found = runs(suite, write_quadlets([old for _, old in pairs], tmp_path / "old"))
    gated = {unit_name(old.path) for _, old in pairs if GATE in parse_unit(old.content).get(AFTER, ())}

    assert wanted.keys() == found.keys()
    for unit, run in wanted.items():
        options = dict(found[unit].options)
        # what the older one would not do by itself is written out
        assert options.pop("--read-only-tmpfs", ("true",)) == ("true",)
        if unit in gated:
            run.options["--sdnotify"] = ("conmon",)
        if podman < (4, 7) and "--network" in options:
            assert options.pop("--network") == tuple(f"systemd-{network}" for network in run.options.pop("--network"))
        assert (options, found[unit].image, found[unit].command) == (run.options, run.image, run.command)
