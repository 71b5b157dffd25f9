"""The text of a lock file: JSON for machines, laid out for people who review a change of it.

A line says one thing with its name, everything is sorted, and nothing says when or where it was written: two people
who resolve the same names get the same bytes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from modelgrid.errors import ConfigError
from modelgrid.lock.values import (
    ARCHITECTURES,
    LOCK_VERSION,
    Lock,
    LockedFile,
    LockedImage,
    LockedManifest,
    LockedModel,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.lock.values import Fact

MAX_SIZE: Final = 64 * 1024**2

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
#: A commit of git, or the digest of a manifest.
_REVISION = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}|sha256:[0-9a-f]{64})?\Z")
#: The level at which an entry is one line: a file, an architecture.
_LEAF = 4

_T = TypeVar("_T")


def write_lock(lock: Lock) -> str:
    """Return the text of *lock*. Equal locks have equal texts."""
    data: dict[str, Any] = {"lock_version": LOCK_VERSION}
    if lock.images:
        data["images"] = {
            name: {
                "digest": image.digest,
                "architectures": {
                    architecture: {"digest": found.digest, "size": found.size}
                    for architecture, found in image.architectures.items()
                },
            }
            for name, image in lock.images.items()
        }
    if lock.models:
        data["models"] = {name: _model_data(model) for name, model in lock.models.items()}
    return "".join(_lines(data, 0)) + "\n"


def _model_data(model: LockedModel) -> dict[str, Any]:
    data: dict[str, Any] = {"revision": model.revision} if model.revision else {}
    if model.facts:
        data["facts"] = dict(model.facts)
    data["files"] = {name: {"sha256": file.sha256, "size": file.size} for name, file in model.files.items()}
    return data


def _lines(data: dict[str, Any], level: int) -> list[str]:
    """Write *data*: names sorted, single values before groups of them, one line each."""
    if not data:
        return ["{}"]
    if level == _LEAF:
        return [json.dumps(data, sort_keys=True, ensure_ascii=False)]
    parts: list[str] = ["{\n"]
    ordered = sorted(data.items(), key=lambda item: (isinstance(item[1], dict), item[0]))
    for index, (name, value) in enumerate(ordered):
        parts += ["  " * (level + 1), json.dumps(name, ensure_ascii=False), ": "]
        parts += _lines(value, level + 1) if isinstance(value, dict) else [json.dumps(value, ensure_ascii=False)]
        parts.append(",\n" if index < len(ordered) - 1 else "\n")
    return [*parts, "  " * level, "}"]


def read_lock(text: str, *, file: str) -> Lock:
    """Read what :func:`write_lock` wrote; *file* is its name in messages.

    Raises:
        ConfigError: it is no lock file, is damaged, or is of a later ModelGrid.
    """
    if len(text) > MAX_SIZE:
        raise _fault(file, f"has more than {MAX_SIZE // 1024**2} MiB")
    try:
        data = json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"{file}:{error.lineno}:{error.colno}"
        merge = re.search(r"^(<<<<<<<|=======|>>>>>>>)", text, re.MULTILINE)
        what = "has marks of a merge that was not finished" if merge else f"is not JSON: {error.msg}"
        raise _fault(where, what) from None
    except (ValueError, RecursionError) as error:
        raise _fault(file, f"cannot be read: {error}") from None
    try:
        return _lock(data)
    except _MalformedError as error:
        raise _fault(f"{file}:", f"{error.path}: {error.what}") from None


def line_of(text: str, section: str, name: str) -> int:
    """Return the line, from 1, on which the *text* of a lock file has *name* of *section*; 1 where it is not there."""
    within = False
    wanted = f"    {json.dumps(name, ensure_ascii=False)}: {{"
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith('  "'):
            within = line.startswith(f'  "{section}":')
        if within and line.startswith(wanted):
            return number
    return 1


class _MalformedError(Exception):
    def __init__(self, path: str, what: str) -> None:
        super().__init__(path)
        self.path = path
        self.what = what


def _fault(file: str, what: str) -> ConfigError:
    return ConfigError(
        f"{file} {what}", hint="take the file from version control, or remove it and run `modelgrid lock`"
    )


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {json.dumps(twin)} twice")
    return data


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _lock(data: Any) -> Lock:
    version = data.get("lock_version") if isinstance(data, dict) else None
    if version != LOCK_VERSION or isinstance(version, bool):
        raise _MalformedError("lock_version", f"this ModelGrid reads {LOCK_VERSION}, and the file has {version!r}")
    fields = _fields(data, "", required=("lock_version",), optional=("images", "models"))
    return Lock(
        images=_each(fields.get("images", {}), "images", _image),
        models=_each(fields.get("models", {}), "models", _model),
    )


def _image(data: Any, path: str) -> LockedImage:
    fields = _fields(data, path, required=("digest", "architectures"))
    architectures = _each(fields["architectures"], f"{path}.architectures", _manifest)
    for name in architectures:
        if name not in ARCHITECTURES:
            raise _MalformedError(f"{path}.architectures", f"{name} is not one of {', '.join(ARCHITECTURES)}")
    return LockedImage(digest=_text(fields["digest"], f"{path}.digest", _DIGEST), architectures=architectures)


def _manifest(data: Any, path: str) -> LockedManifest:
    fields = _fields(data, path, required=("digest", "size"))
    return LockedManifest(
        digest=_text(fields["digest"], f"{path}.digest", _DIGEST), size=_size(fields["size"], f"{path}.size")
    )


def _model(data: Any, path: str) -> LockedModel:
    fields = _fields(data, path, required=("files",), optional=("revision", "facts"))
    return LockedModel(
        revision=_text(fields.get("revision", ""), f"{path}.revision", _REVISION),
        files=_each(fields["files"], f"{path}.files", _file),
        facts=_each(fields.get("facts", {}), f"{path}.facts", _fact),
    )


def _file(data: Any, path: str) -> LockedFile:
    fields = _fields(data, path, required=("sha256", "size"))
    return LockedFile(
        sha256=_text(fields["sha256"], f"{path}.sha256", _SHA256), size=_size(fields["size"], f"{path}.size")
    )


def _fact(data: Any, path: str) -> Fact:
    if not isinstance(data, str | int | float):
        raise _MalformedError(path, "is neither text nor a number")
    return data


def _each(data: Any, path: str, read: Callable[[Any, str], _T]) -> dict[str, _T]:
    if not isinstance(data, dict):
        raise _MalformedError(path, "is no mapping")
    return {name: read(value, f"{path}[{json.dumps(name)}]") for name, value in data.items()}


def _fields(data: Any, path: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _MalformedError(path, "is no mapping")
    for name in required:
        if name not in data:
            raise _MalformedError(path, f"{name} is missing")
    for name in data:
        if name not in (*required, *optional):
            raise _MalformedError(path or "$", f"{json.dumps(name)} is unknown")
    fields: dict[str, Any] = data
    return fields


def _text(value: Any, path: str, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.match(value):
        raise _MalformedError(path, "has not the form of a digest")
    return value


def _size(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _MalformedError(path, "is no size in bytes")
    return value
