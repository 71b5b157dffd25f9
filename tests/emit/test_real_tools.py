"""What podman's own generator and systemd make of what is emitted."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from modelgrid.emit import emit, systemd_quoting
from modelgrid.emit.names import unit_name
from modelgrid.emit.quoting import lookup, lookup_args, lookup_keyval, lookup_strv
from modelgrid.emit.unitfile import parse_unit
from modelgrid.ir import Deployment, Endpoint, Mount, Scope
from tests.emit import reader, samples
from tests.emit.strategies import examples, special, written_by
from tests.tools import SUITES, quadlet_generator, systemd_analyze_security, systemd_analyze_verify

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.ir import ModelServer

pytestmark = [pytest.mark.tools, pytest.mark.parametrize("suite", SUITES)]

EXECUTABLES = (*samples.PROGRAMS, samples.OPEN.gateway.python)

#: Enough that each kind of value meets each fragment many times over; one generator run takes them all.
TEXTS = 300


def write_tree(deployment: Deployment, folder: Path) -> Path:
    for artifact in emit(deployment):
        file = folder / artifact.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(artifact.content, encoding="utf-8")
    (folder / "quadlets").mkdir(exist_ok=True)
    return folder


def complaints(stderr: str) -> list[str]:
    """What the generator says besides which files it reads."""
    said = (line.partition(": ")[2] for line in stderr.splitlines() if line)
    return [line for line in said if not line.startswith(("Loading source unit file ", "No files parsed from "))]


def generated_units(stdout: str) -> dict[str, str]:
    parts = re.split(r"^---(.+)---$", stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def generate(suite: str, folder: Path, *, user: bool = False) -> dict[str, str]:
    result = quadlet_generator(suite, user=user)(folder)

    assert (result.returncode, complaints(result.stderr)) == (0, [])
    return generated_units(result.stdout)


@pytest.mark.parametrize("name", samples.ALL)
def test_generator_takes_every_sample_without_a_word(name: str, suite: str, tmp_path: Path) -> None:
    deployment = samples.ALL[name]
    tree = write_tree(deployment, tmp_path)
    units = generate(suite, tree / "quadlets", user=deployment.scope is Scope.USER)

    wanted = {unit_name(artifact.path) for artifact in emit(deployment) if artifact.path.startswith("quadlets/")}
    assert set(units) == wanted


TREES = {**samples.ALL, "monitored": samples.MONITORED}


@pytest.mark.parametrize("name", [name for name, sample in TREES.items() if sample.scope is Scope.SYSTEM])
def test_verify_is_silent_about_every_sample(name: str, suite: str, tmp_path: Path) -> None:
    tree = write_tree(TREES[name], tmp_path)
    result = systemd_analyze_verify(suite, tree / "units", quadlets=tree / "quadlets", executables=EXECUTABLES)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_gateway_is_locked_up(host: str, suite: str, tmp_path: Path) -> None:
    gateway = replace(samples.GATEWAY, listen=Endpoint(host=host, port=8080))
    unit = write_tree(replace(samples.FULL, gateway=gateway), tmp_path) / "units" / "modelgrid-gateway.service"
    result = systemd_analyze_security(suite, unit, threshold=12)

    assert result.returncode == 0, result.stdout


def test_image_unit_is_pulled_before_the_container_that_never_pulls(suite: str, tmp_path: Path) -> None:
    units = generate(suite, write_tree(samples.FULL, tmp_path) / "quadlets")
    unit = parse_unit(units[samples.ISOLATED.unit])

    images = [name for name in unit["Unit", "Requires"] if name.endswith("-image.service")]
    assert len(images) == 1
    assert images[0] in unit["Unit", "After"]
    argv = reader.command(unit["Service", "ExecStart"][-1].replace("%t/%N.cid", "CIDFILE"))
    assert option(argv, "--pull") == ["never"]
    assert samples.ISOLATED_LAUNCH.image in argv
    assert reader.command(parse_unit(units[images[0]])["Service", "ExecStart"][0]) == [
        *["/usr/bin/podman", "image", "pull", samples.ISOLATED_LAUNCH.image]
    ]


def option(argv: list[str], name: str) -> list[str]:
    """The values of the option *name* in *argv*, as ``--name value`` and as ``--name=value``."""
    apart = [value for flag, value in pairwise(argv) if flag == name]
    return apart + [word.removeprefix(f"{name}=") for word in argv if word.startswith(f"{name}=")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nasty:
    """A container whose every text is hard to quote."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    entrypoint: str
    health_command: str
    device: str
    source: str
    volume_target: str

    def model(self, number: int) -> ModelServer:
        launch = replace(
            samples.ISOLATED_LAUNCH,
            image="localhost/image:1",
            pull=False,
            entrypoint=self.entrypoint,
            arguments=self.arguments,
            mounts=(Mount(source=self.source, target=f"/models/{self.volume_target}"),),
            devices=(self.device,),
            health_command=self.health_command,
        )
        return replace(
            samples.ISOLATED, name=f"m{number}", slug=f"m{number}", launch=launch, environment=self.environment
        )


def _argument(value: str) -> str:
    return lookup_args([value])


#: Paths that `Volume=` takes, and others.
_paths = special.map("/srv/{}x".format)

nasty_containers = st.builds(
    Nasty,
    arguments=st.lists(written_by(_argument), min_size=1, max_size=4).map(tuple),
    environment=st.dictionaries(written_by(lambda name: lookup_keyval(name, "")), special, min_size=1, max_size=3).map(
        lambda variables: tuple(sorted(variables.items()))
    ),
    entrypoint=written_by(lookup),
    health_command=written_by(lookup),
    # "-" in front makes a device optional
    device=written_by(lookup_strv, special.map("a.b/c={}".format)),
    source=written_by(systemd_quoting.word, _paths),
    volume_target=written_by(systemd_quoting.word),
)


@pytest.fixture(scope="module")
def wanted() -> list[Nasty]:
    return examples(nasty_containers, TEXTS)


@pytest.fixture(scope="module")
def tree(wanted: list[Nasty], tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tuple(nasty.model(number) for number, nasty in enumerate(wanted))
    return write_tree(replace(samples.FULL, servers=models), tmp_path_factory.mktemp("nasty"))


def test_generator_gives_every_text_back(suite: str, wanted: list[Nasty], tree: Path) -> None:
    units = generate(suite, tree / "quadlets")

    for number, nasty in enumerate(wanted):
        line = parse_unit(units[nasty.model(number).unit])["Service", "ExecStart"][0]
        argv = reader.command(line.replace("%t/%N.cid", "CIDFILE"))
        image = len(argv) - len(nasty.arguments) - 1
        options = argv[:image]

        assert argv[image] == "localhost/image:1"
        assert tuple(argv[image + 1 :]) == nasty.arguments
        assert sorted(option(options, "--env")) == sorted(f"{name}={value}" for name, value in nasty.environment)
        assert option(options, "--entrypoint") == [nasty.entrypoint]
        assert option(options, "--health-cmd") == [nasty.health_command]
        assert option(options, "--device") == [nasty.device]
        assert mounts(options) == [(nasty.source, f"/models/{nasty.volume_target}")]


def mounts(argv: list[str]) -> list[tuple[str, str]]:
    """Source and target of each mount, from ``-v`` or from the comma-separated values of ``--mount``."""
    found = [tuple(value.split(":")[:2]) for value in option(argv, "-v")]
    for text in option(argv, "--mount"):
        (fields,) = csv.reader([text])
        values = dict(field.partition("=")[::2] for field in fields)
        found.append((values["source"], values["destination"]))
    return [(source, target) for source, target in found]


def test_verify_is_silent_about_texts_that_are_hard_to_quote(suite: str, tree: Path) -> None:
    result = systemd_analyze_verify(suite, tree / "units", quadlets=tree / "quadlets", executables=EXECUTABLES)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
