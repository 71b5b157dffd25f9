"""Facts as a YAML file: written on the host, read where its configuration is compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelgrid.errors import ConfigError
from modelgrid.host.facts import FACTS_VERSION, HostFacts
from modelgrid.quantities import parse_size, write_size

if TYPE_CHECKING:
    from cattrs import Converter


def facts_data(facts: HostFacts) -> dict[str, Any]:
    """Return *facts* as plain values, versions as text and sizes with units."""
    data: dict[str, Any] = {"facts_version": FACTS_VERSION, **_converter().unstructure(facts)}
    data["podman"] = ".".join(map(str, facts.podman)) if facts.podman else None
    data["programs"] = dict(facts.programs)
    for gpu, written in zip(facts.gpus, data["gpus"], strict=True):
        written["memory"] = write_size(gpu.memory)
    return data


def dump_facts(facts: HostFacts) -> str:
    """Write *facts* as YAML."""
    import yaml  # noqa: PLC0415  only two commands write facts

    return yaml.safe_dump(facts_data(facts), sort_keys=False, allow_unicode=True)


def load_facts(text: str, *, file: str) -> HostFacts:
    """Read facts.

    Raises:
        ConfigError: *text* is not what :func:`dump_facts` writes; the message names *file* and the field.
    """
    import yaml  # noqa: PLC0415  only commands with a target read facts
    from cattrs import BaseValidationError, transform_error  # noqa: PLC0415  the import costs 50 ms

    hint = "write it again on the host with `modelgrid facts`"
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}", hint=hint) from error
    if not isinstance(data, dict) or data.pop("facts_version", None) != FACTS_VERSION:
        raise ConfigError(f"{file} is no facts file of version {FACTS_VERSION}", hint=hint)
    try:
        if data.get("podman") is not None:
            data["podman"] = [int(part) for part in str(data["podman"]).split(".")]
        data["programs"] = sorted((data.get("programs") or {}).items())
        data["gpus"] = [{**gpu, "memory": parse_size(gpu["memory"])} for gpu in data.get("gpus") or []]
        return _converter().structure(data, HostFacts)
    except BaseValidationError as error:
        raise ConfigError(f"{file}: {'; '.join(transform_error(error))}", hint=hint) from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"{file} is no facts file: {error}", hint=hint) from error


def _converter() -> Converter:
    from cattrs import Converter  # noqa: PLC0415  the import costs 50 ms

    return Converter(forbid_extra_keys=True)
