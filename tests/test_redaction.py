from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.redaction import find_secrets, is_secret_name, mask, mask_line

SECRETS = [
    "hf_abcdefghijKLMNOPQRST123456",
    "sk-proj-abc123def456ghi789",
    "sk-ant-api03-abc123def456ghi789",
    "sk-mg-abcdefghijklmnopqrstuvwxyz",
    "gsk_abcdefghijklmnopqrstuvwx",
    "nvapi-abcdefghijklmnopqrstuvwx",
    "ghp_abcdefghijklmnopqrstuvwx",
    "github_pat_abcdefghij_klmnopqrstuvwx",
    "glpat-abcdefghijklmnopqrst",
    "AKIAABCDEFGHIJKLMNOP",
    "xoxb-1234567890-abcdef",
    "AIzaabcdefghijklmnopqrstuvwxyz0123456789",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
]
NO_SECRETS = [
    "hf://Qwen/Qwen2.5-7B-Instruct",
    "hf_hub_download",
    "task-force-one-two-three-four-5",
    "sk-learn",
    "disk-1234567890123456789",
    "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "http://127.0.0.1:8080/a@b",
    "https://user@host/x",
    "registry.example/team/serve@sha256:60303ae22b998861",
    "Bearer tokens are refused",
    "the public key -----BEGIN PUBLIC KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", ["{}", "a: {}\n", "--token={}", "['{}']", "# {}", "Bearer {}"])
def test_a_secret_is_found_and_masked_wherever_it_stands(secret: str, form: str) -> None:
    text = form.format(secret)

    assert find_secrets(text)
    assert mask(text) == form.format("*" * len(secret))


@pytest.mark.parametrize("text", NO_SECRETS)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert find_secrets(text) == ()
    assert mask(text) == text


def test_only_the_password_of_a_url_is_masked() -> None:
    assert mask("https://user:pa55@host/path") == "https://user:****@host/path"


def test_a_private_key_is_masked_to_its_end_line_by_line() -> None:
    text = "a: |\n  -----BEGIN RSA PRIVATE KEY-----\n  MIIabc\n  -----END RSA PRIVATE KEY-----\nb: 1\n"

    assert mask(text) == f"a: |\n  {'*' * 31}\n{'*' * 8}\n{'*' * 31}\nb: 1\n"


@pytest.mark.parametrize("name", ["HF_TOKEN", "OPENAI_API_KEY", "PGPASSWORD", "api-key", "AWS_SECRET", "key", "APIKEY"])
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["HF_TOKEN_PATH", "TLS_KEY_FILE", "MONKEY", "keys", "sha256", "TOKENIZERS_PARALLELISM"]
)
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("  HF_TOKEN: hunter2", "  HF_TOKEN: *******"),
        ("  HF_TOKEN: 'hun ter'  ", "  HF_TOKEN: ********'  "),
        ("env: {HF_TOKEN: hunter2, A: b}", "env: {HF_TOKEN: *******, A: b}"),
        ('{"API_KEY" : "a, b" }', '{"API_KEY" : *****" }'),
        ("PASSWORD=hunter2", "PASSWORD=*******"),
        ("--api-key=hunter2", "--api-key=*******"),
        ("HF_TOKEN:", "HF_TOKEN:"),
        ("HF_TOKEN_PATH: /run/token", "HF_TOKEN_PATH: /run/token"),
        ("tokens: hf_abcdefghijKLMNOPQRST", "tokens: ***********************"),
        ("no secret", "no secret"),
    ],
)
def test_what_is_given_to_the_name_of_a_secret_is_masked_in_its_line(line: str, masked: str) -> None:
    assert mask_line(line) == masked


@given(st.text(alphabet="ahfskAKIAxoxb_-:=/@{}[]\"' ,\n0", max_size=60))
def test_masking_keeps_every_other_character_in_its_column(text: str) -> None:
    for masked in (mask(text), mask_line(text)):
        assert len(masked) == len(text)
        assert all(new in {old, "*"} for old, new in zip(text, masked, strict=True))
