"""What a plain (unquoted) YAML scalar means.

The core schema of YAML 1.2.2 (section 10.3), less what YAML 1.1 readers take for something else: such text is
refused, so that every tool that reads the file sees the same values.
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}


def _spellings(*words: str) -> frozenset[str]:
    return frozenset(form for word in words for form in (word, word.capitalize(), word.upper()))


#: Booleans of YAML 1.1 (yaml.org/type/bool.html), less y and n, which no common reader takes for one; and the
#: spellings of true, false and null that the JSON schema of YAML 1.2 does not have.
_TRUE: Final = _spellings("yes", "on", "true")
_FALSE: Final = _spellings("no", "off", "false")
_NULL: Final = _spellings("null")
_NOT_NUMBERS: Final = frozenset({".inf", "+.inf", "-.inf", ".nan"})

_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
#: Forms that YAML 1.1 has for numbers and 1.2 has not, or reads as another number. Underscores may be in all of them.
_NUMBER_1_1 = re.compile(r"[-+]?(?:0[0-9]+|0x[0-9a-fA-F]+|0b[01]+|0o[0-7]+|[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?)\Z")

#: Longer numbers are none that anybody means, and Python would not read the longest.
_LONGEST_NUMBER = 40


class AmbiguousError(ValueError):
    """Readers of YAML differ in what this text means. *hint* is the way out; *meant*, what 1.1 takes it for."""

    def __init__(self, message: str, hint: str, *, meant: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.meant = meant


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of the plain scalar *text*.

    Raises:
        AmbiguousError: YAML 1.1 and 1.2 differ in it, or it is a number that would not be passed on as written.
    """
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first in "0123456789+-.":
        return _number(text)
    if first in "yYnNoOtTfF":
        words = (("true", _TRUE), ("false", _FALSE), ("null", _NULL))
        for plain, spellings in words:
            if text in spellings:
                raise AmbiguousError(
                    f"{text} is {plain} to some YAML readers and text to others",
                    f'write {plain}, or quote it: "{text}"',
                    meant=_WORDS[plain],
                )
    return text


def _number(text: str) -> str | int | float:
    if len(text) > _LONGEST_NUMBER:
        if not _NUMBER.match(text):
            return text
        raise AmbiguousError("the number is too long to be kept exactly", "quote it where text is meant")
    if text.lower() in _NOT_NUMBERS:
        raise AmbiguousError(f"{text} is a number that JSON and command lines do not have", f'quote it: "{text}"')
    digits = text.replace("_", "")
    if _NUMBER_1_1.match(digits) or (digits != text and _NUMBER.match(digits)):
        raise AmbiguousError(
            f"{text} is another number, or text, to some YAML readers",
            f'write the number in plain decimal form, or quote it: "{text}"',
        )
    if not _NUMBER.match(text):
        return text
    value = float(text) if any(char in text for char in ".eE") else int(text)
    if value in (float("inf"), float("-inf")):
        raise AmbiguousError(f"{text} is too large for a number", f'quote it where text is meant: "{text}"')
    # a number that is passed on reaches a command line as text, so its text must not change on the way
    if str(value) != text:
        raise AmbiguousError(f"{text} would be passed on as {value}", f'write {value}, or quote it: "{text}"')
    return value
