from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.emit.dropin import quadlet_lines, systemd_lines
from modelgrid.emit.owned_keys import OWNED_OPTIONS, OWNED_QUADLET, OWNED_SYSTEMD
from modelgrid.emit.podman_keys import PODMAN, Reader
from modelgrid.emit.systemd_keys import SYSTEMD
from modelgrid.emit.words import split_words
from modelgrid.errors import ConfigError
from tests.emit import reader
from tests.emit.strategies import nasty, special

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.diagnostics import Diagnostic
    from modelgrid.emit.dropin import DropInLine


def quadlet(**keys: Any) -> list[str]:
    return [item.line for item in quadlet_lines(keys)]


def systemd(**keys: Any) -> list[str]:
    return [f"[{item.section}] {item.line}" for item in systemd_lines(keys)]


def faults(lines: Callable[..., object], keys: dict[str, Any], **target: Any) -> list[Diagnostic]:
    with pytest.raises(ConfigError) as caught:
        lines(keys, **target)
    assert caught.value.report is not None
    return list(caught.value.report)


def test_keys_are_written_in_their_order_with_the_encoder_of_their_reader() -> None:
    assert quadlet(
        Ulimit=["nofile=65536", "memlock=-1"],
        UserNS="auto",
        AddCapability="SYS_PTRACE",
        Sysctl=["net.core.somaxconn=1", "a=b c"],
        Annotation="a=b c",
        Mount="type=bind,source=/srv/my data,destination=/data",
        RunInit=True,
        ShmSize="8g",
        PidsLimit=4096,
    ) == [
        "Ulimit=nofile=65536",
        "Ulimit=memlock=-1",
        "UserNS=auto",
        "AddCapability=SYS_PTRACE",
        "Sysctl=net.core.somaxconn=1",
        'Sysctl="a=b c"',
        'Annotation="a=b c"',
        'Mount="type=bind,source=/srv/my data,destination=/data"',
        "RunInit=true",
        "ShmSize=8g",
        "PidsLimit=4096",
    ]


def test_arguments_are_split_as_a_shell_does() -> None:
    assert quadlet(PodmanArgs="--cpus 2 --hooks-dir='/a b'") == ['PodmanArgs=--cpus 2 "--hooks-dir=/a b"']
    assert quadlet(ReloadCmd="kill -HUP 1") == ["ReloadCmd=kill -HUP 1"]


def test_the_key_says_in_which_section_it_is() -> None:
    assert systemd(
        Nice=5, LimitMEMLOCK="infinity", After=["a.service", "b.mount"], MemoryMax="50%", CPUQuota="150%"
    ) == [
        "[Service] Nice=5",
        "[Service] LimitMEMLOCK=infinity",
        "[Unit] After=a.service",
        "[Unit] After=b.mount",
        "[Service] MemoryMax=50%",
        "[Service] CPUQuota=150%",
    ]


def test_no_key_is_in_two_sections() -> None:
    assert not SYSTEMD["Unit"].keys() & SYSTEMD["Service"].keys()


def test_text_of_a_configuration_is_no_specifier_and_no_variable() -> None:
    assert systemd(WorkingDirectory="/srv/100%n") == ["[Service] WorkingDirectory=/srv/100%%n"]
    assert systemd(ExecStartPre="/bin/echo '$HOME %n' ';'") == ['[Service] ExecStartPre=/bin/echo "$$HOME %%n" ";"']
    assert quadlet(Annotation="a=%n$x") == ["Annotation=a=%%n$$x"]


def test_a_command_may_fail_and_may_not_gain_privileges() -> None:
    assert systemd(ExecStartPre="-/bin/false") == ["[Service] ExecStartPre=-/bin/false"]
    assert [item.code for item in faults(systemd_lines, {"ExecStartPre": "+/bin/id"})] == ["MG4033"]


def test_a_line_knows_what_it_comes_from() -> None:
    (line,) = quadlet_lines({"UserNS": "auto"}, path=("models", "a", "quadlet"))

    assert line.value.origins == line.line.origins == ("$.models.a.quadlet.UserNS",)


def test_every_fault_is_told_at_once_with_its_place_and_a_way_out() -> None:
    keys = {"UserNs": "auto", "Image": "a", "GlobalArgs": "--x", "RunInit": "yes", "Ulimit": "a=1"}
    found = faults(quadlet_lines, keys, podman=(4, 7), path=("quadlet",))

    assert {(item.code, item.path) for item in found} == {
        ("MG4030", ("quadlet", "UserNs")),
        ("MG4031", ("quadlet", "GlobalArgs")),
        ("MG4032", ("quadlet", "Image")),
        ("MG4033", ("quadlet", "RunInit")),
    }
    hints = {item.code: item.hint for item in found}
    assert hints["MG4030"] == "did you mean UserNS?"
    assert hints["MG4032"] == "write `image`"


@pytest.mark.parametrize(
    ("key", "hint"), [("nice", "Nice"), ("LimitMemlock", "LimitMEMLOCK"), ("CPUqouta", "CPUQuota")]
)
def test_a_misspelt_key_is_guessed(key: str, hint: str) -> None:
    (found,) = faults(systemd_lines, {key: 5})

    assert (found.code, found.hint) == ("MG4030", f"did you mean {hint}?")


def test_a_key_that_is_nothing_like_another_gets_no_guess() -> None:
    assert [item.hint for item in faults(systemd_lines, {"zzz": 1})] == [None]


def test_a_key_that_can_be_written_otherwise_is_not_too_new() -> None:
    assert quadlet_lines({"Memory": "8g", "ReloadSignal": "SIGHUP"}, podman=(4, 4))
    (found,) = faults(quadlet_lines, {"Retry": 3}, podman=(4, 9, 3))
    assert found.message == "Retry= came with podman 5.0, and the target has 4.9.3"


@pytest.mark.parametrize(
    ("keys", "version", "since"),
    [
        ({"MemoryZSwapMax": "1G"}, 252, 253),
        ({"ProtectHostname": "private"}, 257, 258),
        ({"Upholds": "a.service"}, 248, 249),
    ],
)
def test_a_key_or_value_that_systemd_does_not_have_yet_is_too_new(
    keys: dict[str, str], version: int, since: int
) -> None:
    (found,) = faults(systemd_lines, keys, systemd=version)

    assert found.code == "MG4031"
    assert f"came with systemd {since}, and the target has {version}" in found.message
    assert systemd_lines(keys, systemd=since)
    assert systemd_lines(keys)


@pytest.mark.parametrize("key", OWNED_QUADLET)
def test_a_key_of_quadlet_that_modelgrid_writes_is_refused(key: str) -> None:
    (found,) = faults(quadlet_lines, {key: "x"})

    assert key in PODMAN["Container"]
    assert (found.code, found.hint) == ("MG4032", OWNED_QUADLET[key])


@pytest.mark.parametrize("key", OWNED_SYSTEMD)
def test_a_key_of_systemd_that_modelgrid_writes_is_refused(key: str) -> None:
    (found,) = faults(systemd_lines, {key: "x"})

    assert key in {*SYSTEMD["Unit"], *SYSTEMD["Service"]}
    assert (found.code, found.hint) == ("MG4032", OWNED_SYSTEMD[key])


@pytest.mark.parametrize("option", [*OWNED_OPTIONS, "--network=host", "--health-interval=1s", "--sdnotify=ignore"])
def test_an_option_that_modelgrid_writes_is_refused(option: str) -> None:
    (found,) = faults(quadlet_lines, {"PodmanArgs": ["--cpus=2", f"--memory=1g {option} x"]})

    assert found.code == "MG4032"
    assert found.hint


def test_labels_of_modelgrid_are_refused_and_others_are_not() -> None:
    assert quadlet(Label=["team=a", "x.io.modelgrid=b"]) == ["Label=team=a", "Label=x.io.modelgrid=b"]
    assert [item.code for item in faults(quadlet_lines, {"Label": "io.modelgrid.managed=false"})] == ["MG4032"]


@pytest.mark.parametrize(
    "keys",
    [
        {"UserNS": ["auto", "host"]},
        {"UserNS": ""},
        {"UserNS": True},
        {"UserNS": '"auto"'},
        {"Ulimit": []},
        {"ReadOnlyTmpfs": "true"},
        {"Annotation": "a"},
        {"PodmanArgs": "--x 'a"},
        {"PodmanArgs": ""},
        {"PodmanArgs": "--x ''"},
        {"HostName": "a\n[Service]\nExecStartPre=/bin/sh"},
        {"Sysctl": 'a="b'},
        {"EnvironmentFile": "-/etc/x"},
        {"EnvironmentFile": "x"},
    ],
)
def test_a_value_that_quadlet_would_change_is_refused(keys: dict[str, Any]) -> None:
    assert [item.code for item in faults(quadlet_lines, keys)] == ["MG4033"]


@pytest.mark.parametrize(
    "keys",
    [
        {"Nice": [1, 2]},
        {"Nice": ""},
        {"Nice": "5; rm"},
        {"MemoryMax": "1 G"},
        {"NoNewPrivileges": "yes"},
        {"ReadWritePaths": "/a\\b"},
        {"ReadWritePaths": '/a"b'},
        {"ExecStartPre": "relative/path"},
        {"ExecStartPre": ""},
        {"LimitNOFILE": "1\nExecStartPre=/bin/sh"},
        {"After": "a\nb"},
    ],
)
def test_a_value_that_systemd_would_change_is_refused(keys: dict[str, Any]) -> None:
    assert [item.code for item in faults(systemd_lines, keys)] == ["MG4033"]


def line_or_codes(
    lines: Callable[..., tuple[DropInLine, ...]], keys: dict[str, Any]
) -> tuple[DropInLine | None, set[str]]:
    try:
        return lines(keys)[0], set()
    except ConfigError as error:
        return None, {item.code for item in error.report or ()}


_FREE = sorted(PODMAN["Container"].keys() - OWNED_QUADLET.keys() - {"EnvironmentFile", "Label"})


@given(key=st.sampled_from(_FREE), value=st.one_of(nasty, st.booleans(), st.integers()))
def test_any_value_is_written_as_one_line_that_is_read_back_or_refused(key: str, value: Any) -> None:
    line, codes = line_or_codes(quadlet_lines, {key: value})
    if line is None:
        assert codes <= {"MG4032", "MG4033"}
        return
    assert "\n" not in line.line
    written = reader.logical_line(line.line)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if key in {"PodmanArgs", "GlobalArgs", "ReloadCmd"}:
        return
    match PODMAN["Container"][key].reader:
        case Reader.STRV:
            found = reader.lookup_strv(written)
        case Reader.ARGS | Reader.KEYVAL:
            found = reader.lookup_args(written)
        case Reader.ALL:
            found = [written]
        case _:
            found = [reader.lookup(written, strips_all_quotes=True)]
    assert [reader.expand(word) for word in found] == [text]


@given(key=st.sampled_from(sorted({*SYSTEMD["Service"], *SYSTEMD["Unit"]} - OWNED_SYSTEMD.keys())), value=nasty)
def test_any_value_is_one_line_of_systemd_or_refused(key: str, value: str) -> None:
    line, codes = line_or_codes(systemd_lines, {key: value})
    if line is None:
        assert codes <= {"MG4032", "MG4033"}
        return
    assert "\n" not in line.line
    assert not line.line.endswith("\\")


@given(special, st.booleans())
def test_words_are_split_as_the_readers_do(line: str, escapes: bool) -> None:  # noqa: FBT001  hypothesis gives it
    try:
        wanted = [word.text for word in reader.split(line, escapes=escapes)]
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  both say why in their own words
            split_words(line, escapes=escapes)
        return
    assert split_words(line, escapes=escapes) == wanted
