"""A host that answers with the facts that a test gave it, and keeps what else it is asked."""

from __future__ import annotations

import sys
from pathlib import Path

from modelgrid import __version__
from modelgrid.remote.protocol import PROTOCOL, Ended, Greeting, Message, Output, Request, decode, encode


def main(folder: Path, name: str) -> None:
    say(Greeting(protocol=PROTOCOL, version=__version__))
    for line in sys.stdin.buffer:
        request = decode(line)
        assert isinstance(request, Request), request
        if request.arguments[0] == "facts":
            say(Output(result=True, text=(folder / f"{name}.facts").read_text(encoding="utf-8")))
            say(Ended(code=0))
            continue
        with (folder / f"{name}.requests").open("ab") as file:
            file.write(line)
        say(Output(result=False, text=f"doing {request.arguments[0]}"))
        # as `plan` where there are changes
        say(Ended(code=2 if request.arguments[0] == "plan" else 0))


def say(message: Message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
