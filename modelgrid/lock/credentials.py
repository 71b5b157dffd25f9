"""Logins for registries, from the files that podman and docker keep (containers-auth.json(5)). Never printed."""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.lock.references import Reference

#: What docker calls its hub in its own file.
_DOCKER_HUB = ("index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, as the header of HTTP's Basic scheme has them (RFC 7617)."""

    basic: str = field(repr=False)


def login_files(environment: Mapping[str, str] | None = None, *, home: Path | None = None) -> tuple[Path, ...]:
    """Return the files to look into, the first that has a login wins; those that do not exist among them.

    $REGISTRY_AUTH_FILE alone where it is set; else podman's own below $XDG_RUNTIME_DIR and below $XDG_CONFIG_HOME or
    ~/.config, then docker's below $DOCKER_CONFIG or ~/.docker.
    """
    variables = os.environ if environment is None else environment
    if named := variables.get("REGISTRY_AUTH_FILE"):
        return (Path(named),)
    try:
        own = home or Path.home()
    except RuntimeError:
        return ()
    runtime = [Path(folder, "containers/auth.json")] if (folder := variables.get("XDG_RUNTIME_DIR")) else []
    config = Path(variables.get("XDG_CONFIG_HOME") or own / ".config", "containers/auth.json")
    docker = Path(variables.get("DOCKER_CONFIG") or own / ".docker", "config.json")
    return (*runtime, config, docker)


def find_login(reference: Reference, files: Iterable[Path]) -> Login | None:
    """Return the login for *reference* that *files* have; none where there is none.

    The entry for the longest part of the name counts: ``quay.io/org/name``, ``quay.io/org``, ``quay.io``. Programs that
    keep logins elsewhere (``credHelpers``) are not run.

    Raises:
        ConfigError: a file is there and cannot be read.
    """
    for file in files:
        entries = _entries(file)
        folders = reference.repository.split("/")
        names = ["/".join((reference.registry, *folders[:count])) for count in range(len(folders), -1, -1)]
        for name in [*names, *(_DOCKER_HUB if reference.registry == "docker.io" else ())]:
            if name in entries and (login := _login(entries[name])) is not None:
                return login
    return None


def _entries(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read the logins in {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        raise ConfigError(f"the logins in {file} are not JSON", hint="`podman login` writes it anew") from None
    auths = data.get("auths") if isinstance(data, dict) else None
    if not isinstance(auths, dict):
        return {}
    # docker writes the URL of version 1 of its own hub, and users write others
    return {
        name.partition("://")[2].partition("/")[0] if "://" in name else name: value for name, value in auths.items()
    }


def _login(entry: Any) -> Login | None:
    coded = entry.get("auth") if isinstance(entry, dict) else None
    if not isinstance(coded, str):
        return None
    try:
        plain = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Login(base64.b64encode(plain).decode("ascii")) if b":" in plain else None
