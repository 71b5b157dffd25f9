"""Writes a Report as SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a change."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelgrid import __version__
from modelgrid.codes import CODES
from modelgrid.diagnostics import Severity, format_path
from modelgrid.places import below
from modelgrid.redaction import mask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePath

    from modelgrid.diagnostics import Diagnostic, Location, Report
    from modelgrid.errors import ModelGridError

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

#: The name and version of what the fingerprint is made of; another recipe needs another name.
FINGERPRINT = "modelgrid/v1"


def to_sarif(report: Report, *, base: PurePath, error: ModelGridError | None = None) -> str:
    """Write *report* as a SARIF log with one run.

    Args:
        base: folder that relative names start from; files below it get relative URIs.
        error: what ended the command without a place in the file; it becomes a notification of the run.
    """
    import json  # noqa: PLC0415  only for tools

    rules = sorted({item.code for item in report})
    run = {
        "tool": {
            "driver": {
                "name": "modelgrid",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(code) for code in rules],
            }
        },
        "columnKind": "utf16CodeUnits",
        "invocations": [_invocation(error)],
        "results": _results(report, rules, base),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=True)


def _rule(code: str) -> dict[str, Any]:
    entry = CODES.get(code)
    if entry is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.cause},
        "help": {
            "text": f"{entry.cause}\n\n{entry.fix}",
            "markdown": f"{entry.cause}\n\n**Fix:** {entry.fix}",
        },
        "defaultConfiguration": {"level": "warning" if entry.warning else "error"},
    }


def _invocation(error: ModelGridError | None) -> dict[str, Any]:
    if error is None:
        return {"executionSuccessful": True}
    notification = {"level": "error", "message": {"text": _message(error.message, error.hint)}}
    return {"executionSuccessful": False, "toolExecutionNotifications": [notification]}


def _results(report: Report, rules: Sequence[str], base: PurePath) -> list[dict[str, Any]]:
    seen: dict[str, int] = {}
    results = []
    for item in report:
        digest = _digest(item)
        seen[digest] = seen.get(digest, 0) + 1
        location = _location(item, base)
        results.append(
            {
                "ruleId": item.code,
                "ruleIndex": rules.index(item.code),
                "level": "error" if item.severity is Severity.ERROR else "warning",
                "message": {"text": _message(item.message, item.hint)},
                **({"locations": [location]} if location else {}),
                **({"relatedLocations": _related(item, base)} if item.related else {}),
                # equal faults on equal lines are told apart by their order
                "partialFingerprints": {FINGERPRINT: f"{digest}:{seen[digest]}"},
            }
        )
    return results


def _location(item: Diagnostic, base: PurePath) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if item.location is not None:
        found["physicalLocation"] = _physical(item.location, base)
    if item.path:
        found["logicalLocations"] = [{"fullyQualifiedName": mask(format_path(item.path))}]
    return found


def _related(item: Diagnostic, base: PurePath) -> list[dict[str, Any]]:
    return [
        {"physicalLocation": _physical(other.location, base), "message": {"text": mask(other.message)}}
        for other in item.related
    ]


def _physical(location: Location, base: PurePath) -> dict[str, Any]:
    return {"artifactLocation": {"uri": file_uri(location.file, base)}, "region": _region(location)}


def _region(location: Location) -> dict[str, int]:
    """Return the place as SARIF counts it: ``endColumn`` is the one after the last (SARIF 2.1.0, 3.30.8)."""
    start = location.column - 1
    before, fault = location.excerpt[:start], location.excerpt[start : start + location.length]
    first = start + _astral(before)
    return {
        "startLine": location.line,
        "startColumn": first + 1,
        "endLine": location.line,
        "endColumn": first + location.length + _astral(fault) + 1,
    }


def _astral(text: str) -> int:
    """Return how many characters of *text* take two UTF-16 code units."""
    return 0 if text.isascii() else sum(char > "\uffff" for char in text)


def file_uri(file: str, base: PurePath) -> str:
    """Return the URI of *file* (RFC 3986): relative below *base*, else a ``file:`` one if it is absolute.

    Every character beyond the unreserved ones is percent-encoded as UTF-8, the colon too, which in the first part
    of a relative reference would end a scheme. The URL of what was fetched is one already.
    """
    path = below(file, base)
    try:
        octets = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = path.encode("utf-8", "replace")
    if "://" in path:
        return quote(octets, safe="/:?#[]@!$&'()*+,;=%~")
    if path.startswith("/"):
        return f"file://{quote(octets)}"
    if drive := type(base)(path).drive:
        return f"file:///{drive}{quote(octets[len(drive) :])}"
    return quote(octets)


def _digest(item: Diagnostic) -> str:
    """Return what stays the same while lines above the fault come and go."""
    line = item.location.excerpt.strip() if item.location else ""
    text = "\0".join((item.code, mask(format_path(item.path)), line or mask(item.message)))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _message(text: str, hint: str | None) -> str:
    return mask(f"{text}\nhint: {hint}" if hint else text)
