"""Secrets that are written out: refused, and never shown."""

from __future__ import annotations

import pytest

from modelgrid.rendering import render_text, to_json
from tests.config.reading import check_text, places

TOKEN = "hf_abcdefghijKLMNOPQRST123456"


@pytest.mark.parametrize(
    ("text", "line", "column", "secret"),
    [
        (f"models: {{a: {{engine: vllm, env: {{T: {TOKEN}}}}}}}", 2, 37, TOKEN),
        (f"models: {{a: {{engine: vllm, args: ['--token={TOKEN}']}}}}", 2, 44, TOKEN),
        (f"# was {TOKEN}", 2, 7, TOKEN),
        (f"x-notes: {{old: {TOKEN}}}", 2, 16, TOKEN),
        ("models: {a: {engine: vllm, source: 'https://u:hunter2@h/x'}}", 2, 47, "hunter2"),
        ("x-key: |\n  -----BEGIN PRIVATE KEY-----\n  MIIhunter2\n  -----END PRIVATE KEY-----", 3, 3, "MIIhunter2"),
        ("models: {a: {engine: vllm, env: {HF_TOKEN: hunter2}}}", 2, 44, "hunter2"),
        ("models: {a: {engine: vllm, env: {HF_TOKEN: '123456'}}}", 2, 44, "123456"),
        ("engines: {vllm: {env: {DB_PASSWORD: hunter2}}}\nmodels: {a: {engine: vllm}}", 2, 37, "hunter2"),
        ("models: {a: {engine: vllm, env: {HF_TOKEN:\n  hunter2}}}", 3, 3, "hunter2"),
        ("models: {a: {engine: vllm, args: {api-key: hunter2}}}", 2, 44, "hunter2"),
        ("models: {a: {engine: vllm, args: [--api-key, hunter2]}}", 2, 46, "hunter2"),
        ("models: {a: {engine: vllm, args: [--api-key=hunter2]}}", 2, 35, "hunter2"),
        ("engines: {vllm: {command: [--hf-token, hunter2]}}\nmodels: {a: {engine: vllm}}", 2, 40, "hunter2"),
        ("x-env: &env {HF_TOKEN: hunter2}\nmodels: {a: {engine: vllm, env: *env}}", 2, 24, "hunter2"),
    ],
)
def test_a_secret_that_is_written_out_is_refused_and_not_shown(text: str, line: int, column: int, secret: str) -> None:
    _, report = check_text(f"version: 1\n{text}\n")

    assert ("MG3010", line, column) in places(report)
    assert [item.code for item in report if item.code.startswith("MG3010")] == ["MG3010"]
    assert secret not in render_text(report)
    assert secret not in to_json(report)
    assert all(secret not in f"{item.message}{item.hint}" for item in report)


@pytest.mark.parametrize(
    "text",
    [
        "models: {a: {engine: vllm, env: {HF_TOKEN_PATH: /run/token, TLS_KEY: /run/key}}}",
        "models: {a: {engine: vllm, env: {HF_HUB_DISABLE_IMPLICIT_TOKEN: '1'}}}",
        "models: {a: {engine: vllm, args: {pad-token: '<pad>', api-key-file: /run/key}}}",
        "models: {a: {engine: vllm, args: [--pad-token, '<pad>']}}",
        "x-sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    ],
)
def test_paths_switches_and_hashes_are_no_secrets(text: str) -> None:
    _, report = check_text(f"version: 1\n{text}\n")

    assert not report


@pytest.mark.parametrize(
    "text",
    [
        "models: {a: {engine: vllm, args: [--api-key, hunter2, 5]}}",  # another fault of the line
        "models: {a: {engine: vllm, args: [--api-key, hunter2, on]}}",  # found by the loader
        "models: {a: {engine: vllm, env: {HF_TOKEN: hunter2, HF_TOKEN: b}}}",
        "models: {a: {engine: vllm, env: {HF_TOKEN: [hunter2]}}}",
        "models: {a: {engine: vllm, env: {HF_TOKEN: {hunter2: 1}}}}",
        'models: {a: {engine: vllm, env: {HF_TOKEN: "hunter2\\n"}}}',
        "env: {HF_TOKEN: hunter2, a: [}",  # not even YAML
        "env: {HF_TOKEN: hunter2}\n\tx: 1",
    ],
)
def test_no_other_fault_shows_the_secret(text: str) -> None:
    _, report = check_text(f"version: 1\n{text}\n")

    assert report.errors
    assert "hunter2" not in render_text(report)
    assert "hunter2" not in to_json(report)


@pytest.mark.parametrize(
    "text",
    [
        "{secret}: 1",
        "{secret}: {{a: 1}}",
        "models: {{'{secret} x': {{engine: vllm}}}}",
        "models: {{a: {{engine: {secret}}}}}",
        "models: {{a: {{engine: vllm, runtime: {secret}}}}}",
        "models: {{a: {{engine: vllm, vram: {secret}}}}}",
        "models: {{a: {{engine: vllm, context: {secret}}}}}",
        "models: {{a: {{engine: vllm, image: {secret}}}}}",
        "models: {{a: {{engine: vllm, aliases: [{secret}, {secret}]}}}}",
        "models: {{a: {{engine: vllm, source: 's3://{secret}'}}}}",
        "gateway: {{listen: {secret}}}",
        "network: {{subnet: {secret}}}",
        "gateway: {{keys: [{{name: a, sha256: {secret}}}]}}",
    ],
)
def test_no_message_repeats_a_secret(text: str) -> None:
    _, report = check_text(f"version: 1\n{text.format(secret=TOKEN)}\n")

    assert len(report.errors) > 1
    assert all(TOKEN not in f"{item.message}{item.hint}" for item in report)
    assert TOKEN not in render_text(report)
    assert TOKEN not in to_json(report)


def test_a_key_of_the_gateway_is_answered_with_its_hash() -> None:
    _, report = check_text("version: 1\ngateway: {keys: [{name: a, sha256: sk-mg-abcdefghijklmnopqrstuvwx}]}\n")

    assert "SHA-256" in next(item.hint or "" for item in report if item.code == "MG3010")


def test_the_hint_offers_only_what_works() -> None:
    _, report = check_text("version: 1\nmodels: {a: {engine: vllm, env: {HF_TOKEN: abcdef}}}\n")
    (fault,) = report
    hint = fault.hint or ""

    assert "leave it out" in hint
    assert "downloaded by hand" in hint
    assert "that file" not in hint
