"""What `up` prints: the answer on stdout, all else on stderr, and examples that work when pasted."""

from __future__ import annotations

import ast
import json
import shlex
from dataclasses import fields
from typing import Any, get_args

import pytest

from modelgrid.cli.main import main
from modelgrid.cli.up import KEY_VARIABLE, _Printer, curl_line, openai_snippet, render
from modelgrid.up import events

SERVING = events.Serving(url="http://127.0.0.1:8080/v1", model="gemma", key="sk-mg-x", logs="/tmp/logs")
NO_KEY = events.Serving(url="http://127.0.0.1:8080/v1", model="gemma", key="", logs="/tmp/logs")


@pytest.mark.parametrize("kind", get_args(events.Event))
def test_every_event_has_a_text_with_all_that_it_says(kind: type[Any]) -> None:
    values = {field.name: 12.25 if field.type == "float" else f"the-{field.name}" for field in fields(kind)}
    text = render(kind(**values))

    assert [value for value in values.values() if isinstance(value, str) and value not in text] == []


def test_the_answer_goes_to_stdout_without_white_space_around_it(capsys: pytest.CaptureFixture[str]) -> None:
    printer = _Printer()
    printer.print(events.Asking(model="gemma", prompt="What?"))
    for text in ("\n", " A", " thing", "\n\n", "and", " ", "more", ".\n", "\n"):
        printer.print(events.Answer(text=text))
    printer.print(events.Answered())

    assert capsys.readouterr() == ("A thing\n\nand more.\n", "Asking gemma: What?\n")


def test_the_curl_line_is_one_line_of_shell_words() -> None:
    line = curl_line(SERVING)
    words = shlex.split(line)

    assert "\n" not in line
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:8080/v1/chat/completions"]
    assert "Authorization: Bearer sk-mg-x" in words
    assert json.loads(words[-1])["model"] == "gemma"


def test_the_python_lines_are_python_and_need_no_indented_paste() -> None:
    snippet = openai_snippet(SERVING)
    ast.parse(snippet)

    assert not snippet.startswith(" ")
    assert 'api_key="sk-mg-x"' in snippet


def test_a_key_that_is_not_known_is_taken_from_a_variable() -> None:
    ast.parse(openai_snippet(NO_KEY))

    assert f'"Authorization: Bearer ${KEY_VARIABLE}"' in curl_line(NO_KEY)
    assert openai_snippet(NO_KEY).startswith("import os\n")
    assert f"Set {KEY_VARIABLE} to one of the keys" in render(NO_KEY)


def test_without_a_model_that_chats_no_chat_is_shown() -> None:
    text = render(events.Serving(url="http://127.0.0.1:8080/v1", model="", key="sk-mg-x", logs="/tmp/logs"))

    assert "curl" not in text
    assert "http://127.0.0.1:8080/v1" in text


def test_to_end_after_the_answer_something_must_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--once"]) == 2
    assert "hint: add --ask PROMPT" in capsys.readouterr().err
