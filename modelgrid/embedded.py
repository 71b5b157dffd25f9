"""The embedded engine: llama.cpp's own server out of the ``xllamacpp`` package, no program to install.

``python -m modelgrid.embedded --model FILE --host H --port P …`` takes those arguments of ``llama-server`` that
``_OPTIONS`` lists, under their own names, and serves llama.cpp's HTTP API until a signal ends it.

SIGTERM and SIGINT do what they do by default: they end the process at once, also while a model loads, when no
handler in Python would run. Nothing is lost, for the server keeps nothing on disk.

Exit codes: 2 called wrongly, 3 the host cannot do it.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from modelgrid import openmp, ports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


#: What llama-server makes of a backslash and this letter (common/common.cpp, string_process_escapes).
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", '"': '"', "\\": "\\"}


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)


class _Option(NamedTuple):
    """An argument of llama-server, and the field of llama.cpp's ``common_params`` that its value goes to.

    A dot in *field* leads into a group of fields. Without *kind* the argument has no value and sets *constant*.
    """

    names: str
    field: str
    kind: Callable[[str], object] | None = None
    constant: object = None


#: Names as llama.cpp's tools/server/README.md has them.
_OPTIONS = (
    _Option("--ctx-size -c", "n_ctx", int),
    _Option("--parallel -np", "n_parallel", int),
    _Option("--n-gpu-layers --gpu-layers -ngl", "n_gpu_layers", int),
    _Option("--threads -t", "cpuparams.n_threads", int),
    _Option("--threads-batch -tb", "cpuparams_batch.n_threads", int),
    _Option("--batch-size -b", "n_batch", int),
    _Option("--ubatch-size -ub", "n_ubatch", int),
    _Option("--n-predict --predict -n", "n_predict", int),
    _Option("--temp", "sampling.temp", float),
    _Option("--top-k", "sampling.top_k", int),
    _Option("--top-p", "sampling.top_p", float),
    _Option("--min-p", "sampling.min_p", float),
    _Option("--repeat-penalty", "sampling.penalty_repeat", float),
    _Option("--seed -s", "sampling.seed", int),
    _Option("--alias -a", "model_alias", lambda text: set(text.split(","))),
    _Option("--chat-template", "chat_template", str),
    _Option("--reverse-prompt -r", "antiprompt", lambda text: [_unescape(text)]),
    _Option("--jinja", "use_jinja", constant=True),
    _Option("--no-jinja", "use_jinja", constant=False),
    _Option("--embeddings --embedding", "embedding", constant=True),
    _Option("--pooling", "pooling_type", str.upper),
    _Option("--metrics", "endpoint_metrics", constant=True),
    _Option("--no-warmup", "warmup", constant=False),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        _fail(message, code=2)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve as the command line *arguments* (those of the process when none are given) say, until a signal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    options = _parse(arguments)
    xllamacpp = _engine()
    if not Path(options["model.path"]).is_file():
        _fail(f"there is no model file {options['model.path']}")
    if refusal := ports.refusal(options["hostnames"][0], options["port"]):
        _fail(refusal)
    try:
        server = xllamacpp.Server(_params(xllamacpp, options))
    except RuntimeError:
        _fail(f"llama.cpp cannot serve {options['model.path']}; the lines above say why")
    while True:
        time.sleep(3600)
        assert server, "it serves in threads of its own for as long as it is kept"


def _engine() -> Any:
    try:
        import xllamacpp  # noqa: PLC0415  so that its absence can be told in one sentence
    except ImportError as error:
        if openmp.NAME in str(error):
            openmp.start_again_with_it()
            openmp.clean_up()
            _fail(f"the host lacks {openmp.NAME}; install the package libgomp1 or libgomp of its distribution")
        _fail(f"the embedded engine is not installed ({error}); run: pip install 'modelgrid[local]'")
    openmp.clean_up()
    return xllamacpp


def _parse(arguments: Sequence[str] | None) -> dict[str, Any]:
    """Return values by field."""
    parser = _Parser(
        prog="modelgrid.embedded",
        description="Serve a GGUF file with llama.cpp. The arguments are those of llama-server.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--model", "-m", dest="model.path", required=True, metavar="FILE")
    parser.add_argument("--host", dest="hostnames", type=lambda text: [text], default=["127.0.0.1"], metavar="ADDRESS")
    parser.add_argument("--port", dest="port", type=int, default=8080)
    for option in _OPTIONS:
        names = option.names.split()
        if option.kind is None:
            parser.add_argument(*names, dest=option.field, action="store_const", const=option.constant)
        else:
            parser.add_argument(*names, dest=option.field, type=option.kind, metavar="VALUE")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"{unknown[0]} is not an argument of the embedded engine; llama-server may have it")
    return vars(options)


def _params(xllamacpp: Any, options: dict[str, Any]) -> Any:
    """Make llama.cpp's parameters. What serves people in a browser is off: clients come through the gateway."""
    params = xllamacpp.CommonParams()
    params.ui = False
    params.endpoint_slots = False  # it shows what others ask
    params.cors_origins = ""
    for field, value in options.items():
        *groups, name = field.split(".")
        owner = params
        for group in groups:
            owner = getattr(owner, group)
        setattr(owner, name, _pooling(xllamacpp, value) if field == "pooling_type" else value)
    return params


def _pooling(xllamacpp: Any, name: str) -> object:
    prefix = "LLAMA_POOLING_TYPE_"
    kinds = xllamacpp.llama_pooling_type.__members__
    if f"{prefix}{name}" not in kinds:
        known = ", ".join(kind.removeprefix(prefix).lower() for kind in kinds if not kind.endswith("UNSPECIFIED"))
        _fail(f"--pooling is one of {known}, not {name.lower()}", code=2)
    return kinds[f"{prefix}{name}"]


def _fail(message: str, *, code: int = 3) -> NoReturn:
    sys.stderr.write(f"modelgrid.embedded: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
