"""Keys that are set by hand, held against podman's own generators and systemd."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from modelgrid.emit.artifact import Artifact
from modelgrid.emit.downgrade import downgrade
from modelgrid.emit.dropin import Setting, quadlet_lines, systemd_lines
from modelgrid.emit.podman_keys import PODMAN
from modelgrid.emit.systemd_keys import SYSTEMD, Form
from tests.emit import reader
from tests.emit.strategies import examples, special, written_by
from tests.emit.test_keys_real import PODMAN_OF, runs
from tests.tools import SUITES, systemd_analyze_verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.tools, pytest.mark.parametrize("suite", SUITES)]

SYSTEMD_OF = {"trixie": 257, "forky": 262}

#: Keys whose value podman's generator passes on as it is; the first are younger than podman 5.4.
FREE = ["AppArmor", "Memory", "Retry", "AddHost", "DNSOption", "GroupAdd", "HostName", "LogOpt", "Mask", "Secret"]
FREE += ["SecurityLabelType", "ShmSize", "Sysctl", "Timezone", "UIDMap", "Ulimit", "Unmask", "UserNS", "WorkingDir"]
LISTS = [key for key in FREE if PODMAN["Container"][key].reader.several]
SINGLE = [key for key in FREE if key not in LISTS]


def written(key: str) -> st.SearchStrategy[str]:
    return written_by(lambda value: quadlet_lines_or_refuse(key, value), special)


def quadlet_lines_or_refuse(key: str, value: str) -> str:
    """The line, or `Unrepresentable`, which is what `written_by` takes for a refusal."""
    from modelgrid.emit.quoting import Unrepresentable  # noqa: PLC0415  beside its use
    from modelgrid.errors import ConfigError  # noqa: PLC0415  beside its use

    try:
        return quadlet_lines({key: value})[0].line
    except ConfigError as error:
        raise Unrepresentable(value, "is refused") from error


settings_by_hand = st.fixed_dictionaries(
    {key: written(key) for key in SINGLE}
    | {key: st.lists(written(key), min_size=1, max_size=3) for key in LISTS}
    | {"Annotation": st.lists(special, min_size=1, max_size=1).map(lambda texts: [f"a={text}" for text in texts])}
)


def values_of(keys: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The values that each option of podman is to have."""
    found: dict[str, list[str]] = {}
    for key, setting in keys.items():
        entry = PODMAN["Container"][key]
        for value in [setting] if isinstance(setting, str) else setting:
            found.setdefault(entry.option, []).append(f"{entry.prefix}{value}")
    return {option: sorted(values) for option, values in found.items()}


def test_the_generator_gives_every_value_back(suite: str, tmp_path: Path) -> None:
    wanted = examples(settings_by_hand, 150)
    for number, keys in enumerate(wanted):
        lines = "".join(f"{item.line}\n" for item in quadlet_lines(keys, podman=PODMAN_OF[suite]))
        new = Artifact(
            path="quadlets/a.container", content=f"[Container]\nContainerName=a\nImage=localhost/image:1\n{lines}"
        )
        old = downgrade(new, podman=PODMAN_OF[suite], systemd=SYSTEMD_OF[suite])
        (tmp_path / f"m{number}.container").write_text(old.content, encoding="utf-8")
    found = runs(suite, tmp_path)

    assert len(found) == len(wanted)
    for number, keys in enumerate(wanted):
        run = found[f"m{number}.service"]
        assert run.image == "localhost/image:1"
        assert {option: sorted(run.options[option]) for option in values_of(keys)} == values_of(keys)


def test_systemd_knows_the_keys_of_its_version_and_no_later_one(suite: str, tmp_path: Path) -> None:
    # a value that is at fault would end the reading of the file, and nothing is a value for all but booleans
    text = "".join(
        f"[{section}]\n"
        + "".join(f"{key}={'true' if entry.form is Form.BOOLEAN else ''}\n" for key, entry in keys.items())
        for section, keys in SYSTEMD.items()
    )
    (tmp_path / "a.service").write_text(text, encoding="utf-8")
    result = systemd_analyze_verify(suite, tmp_path)

    unknown = set(re.findall(r"Unknown key(?: name)? '(\w+)' in section", result.stderr))
    since = {key: entry.since for keys in SYSTEMD.values() for key, entry in keys.items()}
    assert unknown == {key for key, version in since.items() if version > SYSTEMD_OF[suite]}


def test_systemd_reads_what_is_set_by_hand(suite: str, tmp_path: Path) -> None:
    keys: dict[str, Setting] = {
        "After": ["b.service", "-.mount"],
        "AmbientCapabilities": ["CAP_IPC_LOCK CAP_SYS_NICE"],
        "BindReadOnlyPaths": ["/srv/100% %n:/x"],
        "CPUQuota": "150%",
        "ConditionPathExists": ["!/srv/a b", "|/etc/%n"],
        "ExecStartPre": ["/bin/echo '$HOME %n' ';' 'a\"b'", "-/bin/echo x"],
        "IOReadBandwidthMax": "/dev/sda 10M",
        "LimitMEMLOCK": "infinity",
        "LimitNOFILE": 65536,
        "LoadCredential": "token:/etc/100%/token",
        "MemoryMax": "50%",
        "Nice": -5,
        "OOMScoreAdjust": -500,
        "ReadWritePaths": ["/srv/my data", "-/srv/x"],
        "RestartSec": "1min 5s",
        "RestrictNamespaces": "~user net",
        "RestrictNetworkInterfaces": "~eth0",
        "SystemCallFilter": ["~@mount", "@basic-io"],
        "TemporaryFileSystem": "/x:ro",
        "WorkingDirectory": "/srv/a b%n",
        "ProtectClock": True,
    }
    lines = systemd_lines(keys, systemd=SYSTEMD_OF[suite])
    text = "".join(
        f"[{section}]\n" + "".join(f"{item.line}\n" for item in lines if item.section == section)
        for section in ("Unit", "Service")
    )
    (tmp_path / "a.service").write_text(f"{text}ExecStart=/bin/echo\n", encoding="utf-8")
    result = systemd_analyze_verify(suite, tmp_path, executables=["/bin/echo"])

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    commands = [item.value for item in lines if item.key == "ExecStartPre"]
    assert reader.command(commands[0]) == ["/bin/echo", "$HOME %n", ";", 'a"b']
