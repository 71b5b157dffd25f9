"""What is kept of a configuration's words, and what is not."""

from __future__ import annotations

from modelgrid.compile.settings import settings_of
from modelgrid.settings_record import SETTINGS_VERSION, dump_settings, load_settings

WORDS = {
    "version": 1,
    "target": {"podman": "5.4"},
    "gateway": {"max_body": "64MiB", "keys": [{"name": "team", "sha256": "5e" * 32, "models": ["a", "b"]}]},
    "secrets": {"hf_token": {"podman": "hf-token"}},
    "models": {
        "a": {"context": 4096, "aliases": ["x", "y"], "env": {"HF_TOKEN": "hunter2", "MODE": "fast"}},
        "llama3:8b": {"vram": "8GiB", "args": {"api-key": None, "bearer": "hf_" + "a1" * 15}},
    },
}


def test_settings_are_what_units_are_made_from_by_path() -> None:
    found = dict(settings_of(WORDS))

    assert found["$.models.a.context"] == 4096
    assert found["$.models.a.aliases"] == ["x", "y"]
    assert found['$.models["llama3:8b"].vram'] == "8GiB"
    assert found["$.gateway.keys[0].models"] == ["a", "b"]
    assert found["$.secrets.hf_token.podman"] == "hf-token"
    assert not [path for path in found if path.startswith(("$.target", "$.version"))]
    assert list(found) == sorted(found)


def test_no_secret_and_no_hash_of_a_key_is_kept() -> None:
    text = dump_settings(dict(settings_of(WORDS)))

    for secret in ("hunter2", "5e" * 32, "hf_" + "a1" * 15):
        assert secret not in text
    assert "fast" in text


def test_settings_are_read_as_they_were_written_and_another_form_has_none() -> None:
    settings = dict(settings_of(WORDS))

    assert load_settings(dump_settings(settings)) == settings
    newer = dump_settings(settings).replace(f'"settings_version": {SETTINGS_VERSION}', '"settings_version": 99')
    assert [dict(load_settings(text)) for text in ("", "[]", "{}", newer, "[" * 9999)] == [{}] * 5
