"""The options that podman gets for a container, whichever way its quadlet says them: by a key, or as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.podman_keys import PODMAN
from modelgrid.emit.podman_options import option_words
from modelgrid.emit.words import split_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from modelgrid.emit.unitfile import Key

_SHORT = {"-v": "--volume", "-u": "--user", "-w": "--workdir", "-m": "--memory", "-h": "--hostname"}

#: Options of podman-run(1) that stand alone where no value is joined to them.
_FLAGS = frozenset(
    {
        *["--detach", "--disable-content-trust", "--env-host", "--help", "--http-proxy", "--init", "--interactive"],
        *["--no-healthcheck", "--no-hostname", "--no-hosts", "--oom-kill-disable", "--passwd", "--privileged"],
        *["--publish-all", "--quiet", "--read-only", "--read-only-tmpfs", "--replace", "--rm", "--rmi", "--sig-proxy"],
        *["--tls-verify", "--tty", "--unsetenv-all", "-P", "-d", "-i", "-q", "-t"],
    }
)


def container_options(values: Mapping[Key, tuple[str, ...]]) -> Mapping[str, Sequence[str]]:
    """Return the values of each long option, those of ``PodmanArgs=`` last; a flag that is set is ``true``.

    Specifiers and variables are as they are written. A line that its reader would drop is left out.
    """
    return _by_name(_groups(values))


def run_options(command: str) -> Mapping[str, Sequence[str]] | None:
    """Return the same of an ``ExecStart=`` that runs a container itself; none where it runs something else."""
    words = _run_words(command)
    return None if words is None else _by_name([words])


def run_image(command: str) -> str:
    """Return the image of an ``ExecStart=`` that runs a container itself; empty where it runs something else."""
    rest = iter(_run_words(command) or ())
    # reads up to the image, and takes it
    image = ""
    for word in rest:
        if not word.startswith("-"):
            image = word
            break
        if "=" not in word and word not in _FLAGS:
            next(rest, "")
    # of systemd's own, only the percent sign can be in a reference's place
    return image.replace("%%", "%")


def _run_words(command: str) -> list[str] | None:
    try:
        program, verb, *words = split_words(command, escapes=True)
    except ValueError:
        return None
    return words if verb == "run" and program.rpartition("/")[2] in {"podman", "docker"} else None


def _by_name(groups: Iterable[list[str]]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for words in groups:
        for name, value in _pairs(words):
            found.setdefault(_SHORT.get(name, name), []).append(value)
    return found


def _groups(values: Mapping[Key, tuple[str, ...]]) -> Iterator[list[str]]:
    for (section, key), lines in values.items():
        entry = PODMAN["Container"].get(key)
        if section == "Container" and entry is not None and entry.option:
            for line in lines if entry.reader.several else lines[-1:]:
                try:
                    yield option_words(entry, line)
                except ValueError:
                    continue
    for line in values.get(("Container", "PodmanArgs"), ()):
        try:
            yield split_words(line, escapes=True)
        except ValueError:
            continue


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            # the image, behind which nothing is podman's
            return
        name, equals, value = word.partition("=")
        if equals:
            yield name, value
        else:
            yield name, "true" if name in _FLAGS else next(rest, "")
