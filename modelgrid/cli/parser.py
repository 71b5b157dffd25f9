"""The grammar of the command line. Commands name their function as text, so that each start imports only its own."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from modelgrid import __version__
from modelgrid.forms import FORMS, TREE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_FILE = "modelgrid.yaml"

_EPILOG = """\
exit codes:
  0   done; `plan`, `diff`: nothing to do; `status`: all is up
  1   the configuration is at fault
  2   `plan`, `diff`: there are changes; `status`: a unit is down or failed, or with --drift the host
      differs from what was applied; or a command was called wrongly
  3   the host cannot do what was asked
  70  a fault in ModelGrid
  130 ended by Ctrl-C
"""


def build_parser(arguments: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser; the namespace that it makes has ``run``, the command's function, and ``debug``.

    Given the *arguments* that it is for, it knows the one command that they name, and all where they name none.
    """
    parser = argparse.ArgumentParser(
        prog="modelgrid",
        description="Compile modelgrid.yaml into systemd units, podman quadlets and a gateway, and apply them.",
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=_width()),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"modelgrid {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")
    # with its name given, argparse need not format the usage at each start to find it
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog=parser.prog)
    for only in (next((word for word in arguments or () if not word.startswith("-")), None), None):
        chosen = _Chosen(commands, only)
        for add in (_compiling, _applying, _running, _asking):
            add(chosen)
        if commands.choices:
            break  # else there is no such command, and the message lists all
    return parser


class _Chosen:
    """Adds the command *only* to the subparsers *commands*, or all where it is none: each costs a third of a ms."""

    def __init__(self, commands: Any, only: str | None) -> None:
        self._commands = commands
        self._only = only

    def add_parser(self, name: str, **options: Any) -> Any:
        """Return the parser of the command *name*, or what takes its arguments and does nothing."""
        return self._commands.add_parser(name, **options) if self._only in {None, name} else _Left()


class _Left:
    """In place of the parser of a command that nobody asked for."""

    prog = ""

    def __getattr__(self, _: str) -> Callable[..., _Left]:
        return lambda *_, **__: self


def _width() -> int:
    """Return the width for help, as argparse finds it; but argparse imports shutil for it at each start."""
    columns = int(text) if (text := os.environ.get("COLUMNS", "")).isdecimal() else 0
    if not columns and sys.__stdout__ is not None:
        with suppress(ValueError, OSError):
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns
    return (columns or 80) - 2


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, width=_width())


def _late(target: str) -> Callable[[argparse.Namespace], int]:
    """Return a function that imports ``module:function`` of this package when it is called."""
    module, _, function = target.partition(":")

    def run(options: argparse.Namespace) -> int:
        if getattr(options, "hosts", None):
            from modelgrid.cli.remotely import run_remotely  # noqa: PLC0415  only with --host

            return run_remotely(options)
        command: Callable[[argparse.Namespace], int] = getattr(import_module(f"modelgrid.cli.{module}"), function)
        return command(options)

    return run


def _add(commands: Any, name: str, target: str, help_text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    command.set_defaults(run=_late(target))
    return command


def _group(commands: Any, name: str, help_text: str) -> Any:
    description = f"{help_text[0].upper()}{help_text[1:]}."
    group = commands.add_parser(name, help=help_text, description=description, formatter_class=_formatter)
    return group.add_subparsers(metavar="COMMAND", required=True, prog=group.prog)


def _file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", nargs="?", default=DEFAULT_FILE, metavar="FILE", help=f"the configuration ({DEFAULT_FILE}); - for stdin"
    )


def _facts(command: argparse.ArgumentParser) -> None:
    command.add_argument("--facts", metavar="FILE", help="facts of the target host, instead of the file's target")


def _user(command: argparse.ArgumentParser) -> None:
    command.add_argument("--user", action="store_true", help="units of your own systemd instead of the system's")


def _host(command: argparse.ArgumentParser, *, as_root: bool, compiles: bool = False) -> None:
    """Add ``--host``; what the command asks of another host needs the rights of root there where *as_root*.

    One that *compiles* has its file compiled here.
    """
    command.add_argument(
        "--host",
        dest="hosts",
        action="append",
        default=[],
        metavar="ssh://USER@HOST",
        help="do it on that host, over ssh; may be repeated",
    )
    command.set_defaults(as_root=as_root, compiles=compiles)


def _json(command: argparse._ActionsContainer) -> None:
    command.add_argument("--json", action="store_true", help="print JSON for tools")


def _strict(command: argparse.ArgumentParser) -> None:
    command.add_argument("--strict", action="store_true", help="fail on warnings too")


def _compiling(commands: Any) -> None:
    check = _add(commands, "check", "compiling:run_check", "find every fault of a configuration, and write nothing")
    _file(check)
    _facts(check)
    _user(check)
    _strict(check)
    check.add_argument(
        "--format", choices=("text", "json", "sarif", "github"), default="text", help="how faults are shown (text)"
    )

    check.add_argument(
        "--locked", action="store_true", help="fail on what the lock file lacks or has otherwise; needs no network"
    )

    lock = _add(commands, "lock", "lock:run_lock", "write down what images and weights are now, beside the file")
    _file(lock)
    lock.add_argument(
        "--update",
        action="append",
        default=[],
        metavar="NAME",
        help="resolve this model or image anew, though it is locked; may be repeated",
    )
    _json(lock)

    compile_ = _add(
        commands, "compile", "compiling:run_compile", "write the units and the routing manifest to a folder"
    )
    _file(compile_)
    compile_.add_argument("-o", "--output", required=True, metavar="DIR", help="new folder, or one that compile wrote")
    compile_.add_argument("--as", dest="form", choices=FORMS, default=TREE, help=f"what to write ({TREE})")
    _facts(compile_)
    _user(compile_)
    _strict(compile_)

    diff = _add(
        commands, "diff", "diff:run_diff", "say what a change of a configuration means, or of one generation to another"
    )
    diff.add_argument(
        "file",
        nargs="?",
        default=DEFAULT_FILE,
        metavar="FILE|N",
        help=f"the configuration ({DEFAULT_FILE}); or, without --base, the number of a generation on this host",
    )
    diff.add_argument("other", nargs="?", metavar="M", help="generation to compare with N (the current one)")
    diff.add_argument("--base", metavar="REV", help="git revision, other configuration, or folder that compile wrote")
    _facts(diff)
    _user(diff)
    _host(diff, as_root=True)
    form = diff.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="write the comment of a pull request")
    _json(form)

    facts = _add(commands, "facts", "host:run_facts", "print the facts of this host, for the target of a configuration")
    facts.add_argument(
        "--program", action="append", default=[], metavar="NAME", help="look for this program too; may be repeated"
    )
    _json(facts)
    _host(facts, as_root=False)

    schema = _add(commands, "schema", "compiling:run_schema", "print a JSON schema")
    schema.add_argument(
        "name", nargs="?", choices=("modelgrid", "manifest"), default="modelgrid", help="which (modelgrid)"
    )

    explain = _add(
        commands,
        "explain",
        "explain:run_explain",
        "say what an error code means, or where each line of a unit comes from",
    )
    explain.add_argument("subject", metavar="CODE|UNIT", help="for example MG2001, or a unit, or the name of a model")
    _file(explain)
    _facts(explain)
    _user(explain)
    _json(explain)


def _applying(commands: Any) -> None:
    plan = _add(commands, "plan", "applying:run_plan", "show what apply would change, and why")
    apply = _add(commands, "apply", "applying:run_apply", "make this host run the configuration")
    for command in (plan, apply):
        _file(command)
        _user(command)
        _strict(command)
        _json(command)
        command.add_argument(
            "--adopt",
            action="store_true",
            help="take over files and units of others that are in the way; they are kept",
        )
        # a plan too: images and keys that only root sees are part of it
        _host(command, as_root=True, compiles=True)
    plan.add_argument(
        "-o", "--output", metavar="PLAN", help="keep the plan: `apply PLAN` does it, if nothing has moved until then"
    )
    _retention(apply)
    apply.add_argument(
        "--no-drift-overwrite", action="store_true", help="fail where it would undo what somebody changed on the host"
    )

    rollback = _add(commands, "rollback", "applying:run_rollback", "bring an earlier generation back")
    rollback.add_argument("generation", nargs="?", type=int, metavar="N", help="which (the one before)")
    confirm = _add(commands, "confirm", "applying:run_confirm", "keep a change that was made with --confirm")
    generations = _add(commands, "generations", "applying:run_generations", "list the generations on this host")
    status = _add(commands, "status", "status:run_status", "show the state of every unit")
    _status(status)
    recover = _add(commands, "recover", "applying:run_recover", "finish or take back a change that was interrupted")
    destroy = _add(commands, "destroy", "applying:run_destroy", "stop and remove everything but weights and volumes")
    gc = _add(
        commands, "gc", "collecting:run_gc", "show weights, volumes and images that no generation needs, or remove them"
    )
    gc.add_argument("--yes", action="store_true", help="remove what it would show")
    _retention(gc)
    _json(gc)
    for command in (rollback, confirm, generations, status, recover, destroy, gc):
        _user(command)
        _host(command, as_root=command in {rollback, confirm, recover, destroy, gc})
    for command in (apply, rollback):
        command.add_argument(
            "--confirm",
            dest="probation",
            type=_duration,
            metavar="TIME",
            help="take the change back after TIME, such as 5m, unless `modelgrid confirm` comes before",
        )
    # the timer of a probation says which one it is of
    recover.add_argument("--expired", type=_count, metavar="N", help=argparse.SUPPRESS)
    _json(generations)


def _retention(command: argparse.ArgumentParser) -> None:
    """Add which generations stay; what they are when left out is the apply layer's to say."""
    command.add_argument("--keep", type=_count, metavar="N", help="how many generations stay at most (10)")
    command.add_argument(
        "--keep-for",
        type=_duration,
        metavar="AGE",
        help="how long they stay at most, such as 90d; a way back always stays",
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


def _duration(text: str) -> float:
    from modelgrid.quantities import parse_duration  # noqa: PLC0415  only where one is given

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _status(command: argparse.ArgumentParser) -> None:
    _json(command)
    command.add_argument("--drift", action="store_true", help="also say how the host differs from what was applied")
    command.add_argument(
        "--metrics",
        metavar="FILE",
        help="also write it, drift included, as metrics for node_exporter's textfile collector",
    )


def _running(commands: Any) -> None:
    up = _add(commands, "up", "up:run", "run the grid in the foreground, on any system, until Ctrl-C")
    _file(up)
    _strict(up)
    up.add_argument("--ask", metavar="PROMPT", help="send one chat request when all is ready, and print the answer")
    up.add_argument("--once", action="store_true", help="end after the answer")

    gateway = _add(commands, "gateway", "gateway:run_gateway", "serve a compiled routing manifest (what the unit runs)")
    gateway.add_argument("--manifest", required=True, metavar="FILE", help="routing.json of a compiled tree")
    gateway.add_argument("--keys", metavar="FILE", help="keys.json of a compiled tree (none: no key is asked for)")
    gateway.add_argument("--live", metavar="DIR", help="folder in which `apply` tells what is changing")
    gateway.add_argument("--unit", metavar="NAME", default="", help="what that folder calls this gateway")
    gateway.add_argument("--listen", required=True, metavar="HOST:PORT", help="address and port")

    _add(commands, "remote", "serving:run_remote", "answer a --host of another machine (what ssh starts there)")

    service = _group(commands, "service", "control the whole grid as one service")
    for verb, text in (
        ("enable", "start the grid at boot"),
        ("disable", "do not start the grid at boot"),
        ("start", "start the gateway and every model"),
        ("stop", "stop the gateway and every model"),
        ("restart", "restart the gateway and every model"),
        ("status", "show the state of every unit"),
        ("logs", "show the journal of the grid's units"),
    ):
        module = "status" if verb == "status" else "service"
        command = _add(service, verb, f"{module}:run_{verb}", text)
        _user(command)
        if verb == "status":
            _status(command)
        if verb == "logs":
            _logs(command)

    container = _group(commands, "container", "look at and control single models")
    listing = _add(container, "list", "service:run_container_list", "list the models, their units and containers")
    _json(listing)
    _user(listing)
    for verb, text in (
        ("start", "start a model"),
        ("stop", "stop a model"),
        ("restart", "restart a model"),
        ("logs", "show the journal of a model"),
    ):
        command = _add(container, verb, f"service:run_container_{verb}", text)
        command.add_argument("model", metavar="MODEL", help="name or alias of the model")
        _user(command)
        if verb == "logs":
            _logs(command)


def _logs(command: argparse.ArgumentParser) -> None:
    command.add_argument("-f", "--follow", action="store_true", help="go on as new lines come")
    command.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="how many lines (50)")


def _asking(commands: Any) -> None:
    key = _group(commands, "key", "API keys of the gateway")
    new = _add(key, "new", "gateway:run_key_new", "make a key: it is shown once, the file gets its hash")
    new.add_argument("name", metavar="NAME", help="name of the key, for logs")
    new.add_argument(
        "--model", action="append", metavar="PATTERN", help="model that it may ask for (*); may be repeated"
    )
    _json(new)

    config = _group(commands, "config", "configuration files")
    show = _add(config, "show", "config:run_show", "print a configuration with every default")
    _file(show)
    _json(show)
    for parent in (commands, config):
        init = _add(parent, "init", "config:run_init", "write a first configuration for this host")
        init.add_argument("file", nargs="?", default=DEFAULT_FILE, metavar="FILE", help=f"new file ({DEFAULT_FILE})")

    gpu = _group(commands, "gpu", "GPUs of this host")
    _json(_add(gpu, "list", "host:run_gpu_list", "list the GPUs, their memory and CDI names"))
