"""Says in plain words what PyYAML's parsers say of a text that is not YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelgrid.diagnostics import Diagnostic

if TYPE_CHECKING:
    import yaml

    from modelgrid.config.lines import Lines
    from modelgrid.diagnostics import Location

_INDENTATION = "look at the indentation of this line and of the one above"
_QUOTE = "put the text in quotes"

#: (part of what the parser in C or the one in Python says, our message, hint); the first that fits is taken.
_PROBLEMS: Final = (
    ("mapping values are not allowed", "a colon is not expected here", f"{_INDENTATION}; or {_QUOTE}"),
    ("found unexpected end of stream", "the text in quotes never ends", "close the quotes"),
    ("found unexpected document indicator", "the text in quotes never ends", "close the quotes"),
    ("',' or ']'", "the list in brackets is not closed", "put a comma between its items and a ] at its end"),
    ("',' or '}'", "the mapping in braces is not closed", "put a comma between its keys and a } at its end"),
    ("could not find expected ':'", "a key has no colon", f"write `key: value`; {_INDENTATION}"),
    ("did not find expected key", "this is not part of the mapping above", f"{_INDENTATION}; or {_QUOTE}"),
    ("expected <block end>", "this is not part of what stands above", f"{_INDENTATION}; or {_QUOTE}"),
    ("did not find expected '-'", "this is not part of the list above", _INDENTATION),
    ("sequence entries are not allowed", "a list item is not expected here", _INDENTATION),
    ("cannot start any token", "text cannot start with this character", _QUOTE),
    ("unknown escape", "this escape does not exist", "write \\\\ for a backslash, or use single quotes"),
    ("expected <document start>", "nothing is expected here: the document has ended", _INDENTATION),
    ("expected node content", "a value is missing here", "write one, or close the brackets"),
    ("expected the node content", "a value is missing here", "write one, or close the brackets"),
)


def explain_syntax(error: yaml.YAMLError, lines: Lines) -> Diagnostic:
    """Return the diagnostic for *error* of the parser that read *lines*."""
    problem = str(getattr(error, "problem", None) or error).strip()
    if "nesting depth" in problem:  # libyaml's own bound, which is met where it reads ahead
        message, hint = "lists or mappings are nested too deeply", "look for brackets that are never closed"
        return Diagnostic(code="MG1005", message=message, location=_location(error, lines), hint=hint)
    message, hint = f"the text is not YAML: {problem}", _INDENTATION
    for part, ours, way_out in _PROBLEMS:
        if part in problem:
            message, hint = ours, way_out
            break
    return Diagnostic(code="MG1002", message=message, location=_location(error, lines), hint=hint)


def _location(error: yaml.YAMLError, lines: Lines) -> Location | None:
    """Return where the fault is: for what is never closed where it was opened, never behind the last character."""
    mark = getattr(error, "problem_mark", None)
    opened = getattr(error, "context_mark", None)
    end = len(lines.text.rstrip())
    if opened is not None and (mark is None or mark.index >= end):
        mark = opened
    if mark is None:
        return None
    if mark.index >= end:
        return lines.at(max(0, end - 1))
    return lines.location((mark.line, mark.column, mark.line, mark.column + 1))
