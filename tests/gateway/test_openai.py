from __future__ import annotations

import json

import pytest

from modelgrid.gateway.openai import ApiError, engine_error, error_event


@pytest.mark.parametrize(
    ("body", "message", "kind", "code"),
    [
        ('{"error": {"message": "m", "type": "t", "code": 400}}', "m", "t", "400"),
        ('{"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}', "m", "t", "c"),
        ('{"error": "model not loaded"}', "model not loaded", "invalid_request_error", None),
        ('{"object": "error", "message": "m", "type": "BadRequestError", "code": 400}', "m", "BadRequestError", "400"),
        (
            '{"error": "Input is too long", "error_type": "Validation"}',
            "Input is too long",
            "invalid_request_error",
            None,
        ),
        ('{"detail": "Not Found"}', "Not Found", "invalid_request_error", None),
        ('{"detail": [{"loc": ["body"], "msg": "x"}]}', '[{"loc":["body"],"msg":"x"}]', "invalid_request_error", None),
        ('{"error": {"message": {"a": 1}}}', '{"a":1}', "invalid_request_error", None),
        ("plain text\n", "plain text", "invalid_request_error", None),
        ("[1, 2]", "[1,2]", "invalid_request_error", None),
        ("", "The model's server refused the request with status 418.", "invalid_request_error", None),
        ("\udcff", "\N{REPLACEMENT CHARACTER}", "invalid_request_error", None),
    ],
)
def test_each_engines_refusal_becomes_openais(body: str, message: str, kind: str, code: str | None) -> None:
    error = engine_error(418, body.encode("utf-8", "surrogateescape"))

    assert (error.status, error.message, error.type, error.code) == (418, message, kind, code)
    assert error.failed == "model"


def test_a_long_refusal_is_cut() -> None:
    assert len(engine_error(400, b"x" * 100_000).message) == 2000


def test_an_error_event_is_one_event_of_openais_form() -> None:
    event = error_event(ApiError(502, "line\nbreak", code="c"))

    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event.removeprefix(b"data: "))["error"] == {
        "message": "line\nbreak",
        "type": "invalid_request_error",
        "param": None,
        "code": "c",
    }
