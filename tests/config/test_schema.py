"""The schema for editors says what the models say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

import pytest
import yaml
from jsonschema import Draft202012Validator

from modelgrid.config import schema
from modelgrid.config.descriptions import descriptions
from modelgrid.config.load import load
from modelgrid.config.nodes import NAMING
from modelgrid.engines.names import builtin_abilities, builtin_names
from tests.config.reading import check_text

if TYPE_CHECKING:
    from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/modelgrid.yaml"))
SECTIONS: list[type[BaseModel]] = [
    section
    for section in vars(schema).values()
    if isinstance(section, type) and issubclass(section, schema._Section) and not section.__name__.startswith("_")
]


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    made = json.loads((ROOT / "schemas/modelgrid.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def test_written_files_are_current() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/schema", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_are_sound_to_both(path: Path, validator: Draft202012Validator) -> None:
    text = path.read_text(encoding="utf-8")
    config, report = check_text(text, engines=builtin_names(), abilities=builtin_abilities)

    assert config is not None
    assert not report
    assert list(validator.iter_errors(load(text, file=path.name).data)) == []


@pytest.mark.parametrize(
    "text",
    [
        "models: {}",
        "version: 2",
        "version: 1\nmodles: {}",
        "version: 1\nmodels: {'a b': {engine: vllm}}",
        "version: 1\nmodels: {a: {}}",
        "version: 1\nmodels: {a: {engine: vllm, vram: 8}}",
        "version: 1\nmodels: {a: {engine: vllm, vram: 8GB.}}",
        "version: 1\nmodels: {a: {engine: vllm, start_timeout: 10}}",
        "version: 1\nmodels: {a: {engine: vllm, start_timeout: 0s}}",
        "version: 1\nmodels: {a: {engine: vllm, start_timeout: 0m0ms}}",
        "version: 1\ngateway: {max_body: 0B}",
        "version: 1\ngateway: {max_body: 0.0 GiB}",
        "version: 1\nmodels: {a: {engine: vllm, port: 0}}",
        "version: 1\nmodels: {a: {engine: vllm, gpus: [x, 1.5]}}",
        "version: 1\nmodels: {a: {engine: vllm, args: {b: {c: 1}}}}",
        "version: 1\nmodels: {a: {engine: vllm, env: {B: 1}}}",
        "version: 1\nmodels: {a: {engine: vllm, source: ''}}",
        'version: 1\nmodels: {a: {engine: vllm, source: "a\\nb"}}',
        "version: 1\nengines: {My: {}}",
        "version: 1\ngateway: {keys: [{name: a}]}",
    ],
)
def test_both_refuse_the_same(text: str, validator: Draft202012Validator) -> None:
    config, _ = check_text(text)

    assert config is None
    assert list(validator.iter_errors(yaml.safe_load(text)))


def test_both_allow_keys_of_the_users_own(validator: Draft202012Validator) -> None:
    text = "version: 1\nx-a: 1\ngateway: {x-b: 1}\nmodels: {a: {engine: ollama, x-c: 1}}"
    config, _ = check_text(text)

    assert config is not None
    assert list(validator.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize("text", ["1KiB", "0.5 MiB", "1024B"])
def test_both_allow_sizes_from_the_bound_on(text: str, validator: Draft202012Validator) -> None:
    data = f"version: 1\ngateway: {{max_body: {text}}}"
    config, _ = check_text(data)

    assert config is not None
    assert list(validator.iter_errors(yaml.safe_load(data))) == []


@pytest.mark.parametrize("text", ["1s", "1000ms", "500ms500ms", "0h1m", "010s"])
def test_both_allow_durations_from_the_bound_on(text: str, validator: Draft202012Validator) -> None:
    data = f"version: 1\nmodels: {{a: {{engine: vllm, start_timeout: {text}}}}}"
    config, _ = check_text(data)

    assert config is not None
    assert list(validator.iter_errors(yaml.safe_load(data))) == []


def test_every_key_is_described(validator: Draft202012Validator) -> None:
    made: Any = validator.schema
    for section in SECTIONS:
        properties = (made if section is schema.Config else made["$defs"][section.__name__])["properties"]
        assert properties.keys() == section.model_fields.keys()
        for key, value in properties.items():
            assert value.get("description"), f"{section.__name__}.{key}"


def test_defaults_are_written_as_the_file_has_them(validator: Draft202012Validator) -> None:
    made: Any = validator.schema
    for section in made["$defs"].values():
        for value in section.get("properties", {}).values():
            if "default" in value and "$ref" not in value:
                Draft202012Validator(value).validate(value["default"])


def test_descriptions_are_found_beside_their_fields() -> None:
    texts = descriptions()

    assert texts["Model", "engine"].startswith("Engine that serves it")
    assert set(texts) <= {(section.__name__, field) for section in SECTIONS for field in section.model_fields}


def test_names_that_the_user_chooses_are_those_of_mappings_without_fixed_keys() -> None:
    """A key that starts with x- is the user's own, except where keys are names."""
    naming = {
        name
        for section in SECTIONS
        for name, field in section.model_fields.items()
        if any(get_origin(part) is dict for part in (field.annotation, *getattr(field.annotation, "__args__", ())))
    }

    assert naming == set(NAMING)
