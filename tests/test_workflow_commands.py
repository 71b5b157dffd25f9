from __future__ import annotations

import re
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from modelgrid.diagnostics import Diagnostic, Location, Related, Report, Severity
from modelgrid.errors import ConfigError
from modelgrid.workflow_commands import to_workflow_commands

BASE = PurePosixPath("/repo")
COMMAND = re.compile(r"::(?P<kind>[a-z]+) (?P<properties>[^:]*)::(?P<message>.*)\Z")


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Undo the escapes as the runner does: the percent sign last."""
    match = COMMAND.match(line)
    assert match is not None
    properties = {}
    for word in match["properties"].split(","):
        name, _, value = word.partition("=")
        for escape, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            value = value.replace(escape, char)
        properties[name] = value
    message = match["message"].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    return match["kind"], properties, message


def test_a_related_place_is_named_in_the_message() -> None:
    rule = Related(location=Location(file="/repo/list.json", line=5, column=6), message="the rule")
    (_, _, message) = read(
        to_workflow_commands(Report((Diagnostic(code="MG3036", message="no", related=(rule,)),)), base=BASE)
    )

    assert message == "no\nthe rule: list.json:5:6"


def test_a_command_names_file_line_columns_and_code() -> None:
    place = Location(file="/repo/hosts/a,b.yaml", line=4, column=7, length=3, excerpt="    x: abc")
    item = Diagnostic(code="MG2003", message="100% wrong", hint="mend it", path=("models", "a"), location=place)

    assert to_workflow_commands(Report((item,)), base=BASE) == (
        "::error file=hosts/a%2Cb.yaml,line=4,endLine=4,col=7,endColumn=10,title=modelgrid MG2003"
        "::100%25 wrong%0Aat $.models.a%0Ahint: mend it"
    )


def test_a_warning_is_one_and_a_fault_without_text_has_no_file() -> None:
    warning = Diagnostic(code="MG4007", message="no effect", severity=Severity.WARNING)
    lines = to_workflow_commands(Report((warning,)), base=BASE, error=ConfigError("cannot read x")).splitlines()

    assert lines == ["::warning title=modelgrid MG4007::no effect", "::error title=modelgrid::cannot read x"]


def test_secrets_are_masked() -> None:
    secret = "hf_" + "A1b2" * 8
    assert secret not in to_workflow_commands(Report((Diagnostic(code="MG2001", message=secret),)), base=BASE)


PRINTABLE = st.characters(exclude_categories=["C", "Z"], include_characters=" %:,\r\n")


@given(
    message=st.text(PRINTABLE, max_size=40),
    file=st.text(PRINTABLE, min_size=1, max_size=20).filter(lambda text: PurePosixPath(text).as_posix() == text),
)
def test_the_runner_reads_back_what_was_written(message: str, file: str) -> None:
    place = Location(file=file, line=1, column=1, excerpt="x")
    text = to_workflow_commands(Report((Diagnostic(code="MG2001", message=message, location=place),)), base=BASE)

    assert "\n" not in text
    kind, properties, read_message = read(text)
    assert (kind, properties["file"], read_message) == ("error", file, message)


@given(message=st.text(st.characters()), file=st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_any_report_is_one_printable_line(message: str, file: str) -> None:
    place = Location(file=file, line=1, column=1, excerpt="x")
    text = to_workflow_commands(Report((Diagnostic(code="MG2001", message=message, location=place),)), base=BASE)

    assert text.isprintable()
