from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.emit import systemd_quoting
from modelgrid.emit.quoting import (
    Specifier,
    Unrepresentable,
    lookup,
    lookup_all,
    lookup_args,
    lookup_keyval,
    lookup_strv,
)
from tests.emit import reader
from tests.emit.strategies import nasty, special, written_by

if TYPE_CHECKING:
    from collections.abc import Callable

ENCODERS: dict[str, Callable[[str], str]] = {
    "lookup": lookup,
    "lookup_all": lookup_all,
    "lookup_strv": lookup_strv,
    "lookup_args": lambda value: lookup_args([value]),
    "lookup_keyval": lambda value: lookup_keyval("KEY", value),
    "command": lambda value: systemd_quoting.command("/bin/true", value),
    "environment": lambda value: systemd_quoting.environment("KEY", value),
    "line": systemd_quoting.line,
    "word": systemd_quoting.word,
    "token": systemd_quoting.token,
    "note": systemd_quoting.note,
}


def read(encoded: str) -> str:
    return reader.logical_line(f"Key={encoded}")


@pytest.mark.parametrize("before_5_8_2", [True, False])
@given(value=written_by(lookup))
def test_lookup_is_read_back(value: str, *, before_5_8_2: bool) -> None:
    assert reader.expand(reader.lookup(read(lookup(value)), strips_all_quotes=before_5_8_2)) == value


@given(written_by(lookup_all))
def test_lookup_all_is_read_back(value: str) -> None:
    assert reader.expand(read(lookup_all(value))) == value


@given(written_by(lookup_strv))
def test_lookup_strv_is_read_back(value: str) -> None:
    assert [reader.expand(word) for word in reader.lookup_strv(read(lookup_strv(value)))] == [value]


@given(st.lists(written_by(ENCODERS["lookup_args"]), min_size=1, max_size=5))
def test_lookup_args_are_read_back(values: list[str]) -> None:
    assert [reader.expand(word) for word in reader.lookup_args(read(lookup_args(values)))] == values


@given(written_by(lambda name: lookup_keyval(name, "")), written_by(ENCODERS["lookup_keyval"]))
def test_lookup_keyval_is_read_back(name: str, value: str) -> None:
    (word,) = reader.lookup_args(read(lookup_keyval(name, value)))

    assert reader.expand(word).split("=", 1) == [name, value]


@given(st.lists(written_by(ENCODERS["command"]), max_size=5))
def test_command_is_read_back(arguments: list[str]) -> None:
    assert reader.command(read(systemd_quoting.command("/bin/true", *arguments))) == ["/bin/true", *arguments]


@given(written_by(systemd_quoting.command, special.map("/{}x".format)))
def test_program_is_read_back_though_its_variables_are_not_expanded(program: str) -> None:
    (word,) = reader.split(read(systemd_quoting.command(program)), escapes=True)

    assert reader.expand_specifiers(word.text) == program


@given(written_by(ENCODERS["environment"]))
def test_environment_is_read_back_without_expanding_variables(value: str) -> None:
    (word,) = reader.split(read(systemd_quoting.environment("KEY", value)), escapes=True)

    assert reader.expand_specifiers(word.text) == f"KEY={value}"


@given(written_by(systemd_quoting.line))
def test_line_is_read_back(value: str) -> None:
    assert reader.expand_specifiers(read(systemd_quoting.line(value))) == value


@given(written_by(systemd_quoting.word))
def test_word_is_read_back(value: str) -> None:
    (word,) = reader.split(read(systemd_quoting.word(value)), escapes=False)

    assert reader.expand_specifiers(word.text) == value


@given(nasty)
def test_no_encoder_lets_more_than_one_line_through(value: str) -> None:
    for encoder in ENCODERS.values():
        try:
            encoded = encoder(value)
        except Unrepresentable:
            continue
        assert "\n" not in encoded
        assert not encoded.endswith("\\")
        encoded.encode()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    "character", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\ud800", "\ufffe", "\U0010ffff"]
)
def test_every_encoder_refuses_what_no_unit_can_hold(encoder: str, character: str) -> None:
    with pytest.raises(Unrepresentable, match="control character or one that is not valid"):
        ENCODERS[encoder](f"a{character}b")


@pytest.mark.parametrize(
    ("encoder", "value", "rule"),
    [
        ("lookup", "", "is empty"),
        ("lookup", '"a" || "b"', "double quote"),
        ("lookup", 'test "a"', "double quote"),
        ("lookup", " a", "white space"),
        ("lookup", "a\u00a0", "white space"),
        ("lookup", "a\\", "backslash"),
        ("lookup_all", "", "is empty"),
        ("lookup_all", "a ", "white space"),
        ("lookup_all", "a\\", "backslash"),
        ("lookup_strv", "", "ends the list"),
        ("lookup_strv", 'a"b', "double quote"),
        ("lookup_args", "", "empty argument"),
        ("lookup", ";", "ends the command"),
        ("lookup_all", ";", "ends the command"),
        ("lookup_strv", ";", "ends the command"),
        ("lookup_args", ";", "ends the command"),
        ("word", "", "ends the list"),
        ("word", 'a"b', "double quote"),
        ("line", "", "is empty"),
        ("token", "a b", "plain word"),
        ("token", "", "plain word"),
        ("note", "a ", "white space"),
    ],
)
def test_encoder_refuses_what_its_reader_cannot_give_back(encoder: str, value: str, rule: str) -> None:
    with pytest.raises(Unrepresentable, match=rule) as caught:
        ENCODERS[encoder](value)

    assert caught.value.value == value


@pytest.mark.parametrize(
    "program", ["bin/true", "./true", "", "/bin/", "/a$b", "/a'b", '/a"b', "/a\\b", "-true", "a b"]
)
def test_command_refuses_what_systemd_takes_for_no_program(program: str) -> None:
    with pytest.raises(Unrepresentable):
        systemd_quoting.command(program)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A.B", "A=B", "é", "A B"])
def test_environment_refuses_names_that_systemd_ignores(name: str) -> None:
    with pytest.raises(Unrepresentable):
        systemd_quoting.environment(name, "value")


@pytest.mark.parametrize("name", ["", "A=B"])
def test_keyval_refuses_names_that_end_early(name: str) -> None:
    with pytest.raises(Unrepresentable):
        lookup_keyval(name, "value")


def test_no_arguments_are_refused() -> None:
    with pytest.raises(Unrepresentable):
        lookup_args([])


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (lookup("curl -f http://127.0.0.1/?a=$b%20c || exit 1"), "curl -f http://127.0.0.1/?a=$$b%%20c || exit 1"),
        (lookup('sh -c "a" x'), 'sh -c "a" x'),
        (lookup_all("/a b:/c:ro"), "/a b:/c:ro"),
        (lookup_strv("nvidia.com/gpu=0"), "nvidia.com/gpu=0"),
        (lookup_strv("a b"), '"a b"'),
        (lookup_args(["--a", "b c", "$x", "50%", 'q"\\']), '--a "b c" $$x 50%% "q\\"\\\\"'),
        (lookup_keyval("A", "b c"), '"A=b c"'),
        (lookup_keyval("A", ""), "A="),
        (systemd_quoting.command("/bin/a", "", ";", "$x"), '/bin/a "" ";" $$x'),
        (systemd_quoting.command("ollama", "serve"), "ollama serve"),
        (systemd_quoting.environment("A", "$x 5%"), '"A=$x 5%%"'),
        (systemd_quoting.token(30), "30"),
        (systemd_quoting.seconds(600.0), "600s"),
        (systemd_quoting.seconds(1.5), "1500ms"),
        (systemd_quoting.seconds(0.0001), "1ms"),
        (systemd_quoting.note("50% of $x"), "50% of $x"),
    ],
)
def test_encoders_write_what_people_would(encoded: str, text: str) -> None:
    assert encoded == text


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_seconds_refuses_what_is_no_time_span(value: float) -> None:
    with pytest.raises(Unrepresentable):
        systemd_quoting.seconds(value)


def test_specifier_alone_keeps_its_percent_sign() -> None:
    value = (Specifier("%d"), "/100%/$x")

    assert lookup_all(value) == "%d/100%%/$$x"
    assert systemd_quoting.line(value) == "%d/100%%/$x"
    assert systemd_quoting.command("/bin/a", value) == "/bin/a %d/100%%/$$x"
    assert systemd_quoting.command("/bin/a", (Specifier("%d"), "/a b")) == '/bin/a "%d/a b"'
    assert lookup_keyval("A", Specifier("%d")) == "A=%d"


def test_specifier_in_text_of_a_user_is_text() -> None:
    assert lookup("%d/x") == "%%d/x"
