"""``--host``: the same command on other hosts, all at once, and what came of each."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelgrid.cli.output import note, result, result_json, table
from modelgrid.errors import ConfigError, HostError, InternalError, ModelGridError, UsageError
from modelgrid.remote.address import Address, parse_address
from modelgrid.remote.protocol import Output, Request
from modelgrid.remote.session import INTERRUPTED, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from modelgrid.cli.pipeline import Checked
    from modelgrid.diagnostics import Diagnostic
    from modelgrid.host.facts import HostFacts

#: Exit codes, the worst last: what one host came to, all come to.
_WORST = (0, 2, INTERRUPTED, HostError.exit_code, ConfigError.exit_code, InternalError.exit_code)

#: Seconds between two looks at whether Ctrl-C came.
_PATIENCE = 1.0


@dataclass(slots=True, kw_only=True)
class _Remote:
    """One host, and what came of it so far.

    Attributes:
        name: what it is called in what is printed.
        code: the exit code there; none before there is one.
        error: why there is none.
        results: what the command printed there as its result.
    """

    name: str
    session: Session
    code: int | None = None
    error: ModelGridError | None = None
    results: list[str] = field(default_factory=list)
    request: Request

    def heard(self, output: Output) -> None:
        """Keep a line of the result; show any other at once."""
        if output.result:
            self.results.append(output.text)
        else:
            note(f"{self.name}: {output.text}")


def run_remotely(options: argparse.Namespace) -> int:
    """Run the command of *options* on each of its hosts, and return the worst of their exit codes.

    A host that cannot be reached keeps no other from its part. A fault of the configuration, for whichever host, is
    found before any of them is changed.
    """
    as_json = bool(getattr(options, "json", False))
    compiles: bool = options.compiles
    if not hasattr(options, "user") and len(options.hosts) > 1 and not as_json:
        raise UsageError("the facts of several hosts are several files", hint="ask one host at a time, or use --json")
    for name, flag in (("output", "-o"), ("metrics", "--metrics"), ("base", "--base")):
        if getattr(options, name, None) is not None:
            raise UsageError(f"{flag} is about files of this host, and so not for --host", hint=f"leave out {flag}")
    checked = _check(options) if compiles else None
    with contextlib.ExitStack() as stack:
        remotes = _remotes(options)
        for remote in remotes:
            stack.callback(remote.session.close)
        with _interruptible(remotes) as interruption:
            _each(remotes, lambda remote: _open(remote, same_version=compiles))
            if checked is not None:
                _compile(checked, [remote for remote in remotes if remote.error is None], options)
            _each(remotes, _run)
    code = _report(remotes, as_json=as_json)
    return INTERRUPTED if interruption.is_set() else code


def _remotes(options: argparse.Namespace) -> list[_Remote]:
    addresses = [parse_address(text) for text in options.hosts]
    if twice := {str(address) for address in addresses if addresses.count(address) > 1}:
        raise UsageError(f"named twice: {', '.join(sorted(twice))}", hint="give each host once")
    as_root = options.as_root and not getattr(options, "user", False)
    arguments = _without_hosts(options.arguments)
    return [
        _Remote(
            name=_name(address, addresses),
            session=Session(address, as_root=as_root),
            request=Request(arguments=arguments),
        )
        for address in addresses
    ]


def _name(address: Address, addresses: Sequence[Address]) -> str:
    """Return the host's name alone where that tells it from the others."""
    alike = [other for other in addresses if other.host == address.host]
    return address.host if len(alike) == 1 else str(address)


def _without_hosts(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the command line without what is only for this end of it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--host", action="append")
    for flag in ("--strict", "--debug"):
        parser.add_argument(flag, action="store_true")
    return tuple(parser.parse_known_args(arguments)[1])


def _check(options: argparse.Namespace) -> Checked | None:
    """Check the configuration; none where the file is a compiled tree."""
    from modelgrid.cli.pipeline import check_file  # noqa: PLC0415  half of the commands compile nothing
    from modelgrid.cli.plan_files import read_plan  # noqa: PLC0415  the same
    from modelgrid.cli.tree import is_tree  # noqa: PLC0415  the same

    if read_plan(options.file) is not None:
        raise UsageError(f"{options.file} is a plan of this host", hint="name the configuration, or leave out --host")
    if is_tree(options.file):
        raise UsageError(
            f"{options.file} is a compiled tree, and --host compiles for each host", hint="name the configuration"
        )
    return check_file(options.file, strict=options.strict, local=False)


def _each(remotes: Sequence[_Remote], step: Callable[[_Remote], None]) -> None:
    """Do *step* for all that nothing has happened to yet, at once, and wait for all."""
    going = [remote for remote in remotes if remote.error is None]

    def guarded(remote: _Remote) -> None:
        try:
            step(remote)
        except ModelGridError as error:
            remote.error = error
            note(f"{remote.name}: {error.message}")
            if error.hint:
                note(f"{remote.name}: hint: {error.hint}")

    if not going:
        return
    with ThreadPoolExecutor(max_workers=len(going)) as pool:
        waiting = {pool.submit(guarded, remote) for remote in going}
        while waiting:
            # on Windows a wait without an end would keep Ctrl-C waiting too
            done, waiting = wait(waiting, timeout=_PATIENCE)
            for future in done:
                future.result()


def _open(remote: _Remote, *, same_version: bool) -> None:
    remote.session.open()
    if same_version:
        remote.session.require_same_version()


def _run(remote: _Remote) -> None:
    remote.code = remote.session.run(remote.request, remote.heard)


def _compile(checked: Checked, remotes: Sequence[_Remote], options: argparse.Namespace) -> None:
    """Compile for each of *remotes*, by its own facts.

    Raises:
        ConfigError: the configuration does not fit one of them.
        HostError: it is for another host than one of them.
    """
    from modelgrid.cli.pipeline import declared_programs, print_warnings  # noqa: PLC0415  two commands compile

    found: dict[str, HostFacts] = {}

    def ask(remote: _Remote) -> None:
        found[remote.name] = _facts(remote, declared_programs(checked.config))

    _each(remotes, ask)
    print_warnings(checked.report)
    told: set[Diagnostic] = set()
    for remote in remotes:
        if remote.error is None:
            try:
                remote.request = _tree(remote.request, checked, found[remote.name], options, told)
            except ModelGridError as error:
                error.message = f"for {remote.name}: {error.message}; no host was changed"
                raise


def _facts(remote: _Remote, programs: Sequence[str]) -> HostFacts:
    from modelgrid.host.facts_file import load_facts  # noqa: PLC0415  two commands compile

    lines: list[str] = []
    words = [word for name in programs for word in ("--program", name)]

    def heard(output: Output) -> None:
        if output.result:
            lines.append(output.text)

    code = remote.session.run(Request(arguments=("facts", "--json", *words)), heard)
    if code != 0:
        raise HostError(f"it does not tell its facts (exit code {code})", hint="run there: modelgrid facts")
    # JSON is YAML too
    return load_facts("\n".join(lines), file=f"the facts of {remote.name}")


def _tree(
    request: Request, checked: Checked, facts: HostFacts, options: argparse.Namespace, told: set[Diagnostic]
) -> Request:
    """Return *request* with the tree for the host of *facts*. Warnings that were *told* are not told again."""
    from modelgrid.cli.applying import check_target  # noqa: PLC0415  two commands compile
    from modelgrid.cli.pipeline import (  # noqa: PLC0415  the same
        compile_checked,
        emit_compiled,
        host_folders,
        package_sources,
        print_warnings,
        scope_of,
        target_facts,
    )
    from modelgrid.cli.planning import known_places  # noqa: PLC0415  the same
    from modelgrid.diagnostics import Report  # noqa: PLC0415  the same
    from modelgrid.emit.artifact import checksums  # noqa: PLC0415  the same

    wanted = target_facts(checked, None)
    if wanted is not None:
        target = checked.config.target
        check_target(wanted, facts, known=target is not None and target.facts is not None)
    scope = scope_of(options)
    compiled = compile_checked(checked, facts=facts, scope=scope, foreign=True, strict=options.strict)
    print_warnings(Report.of(item for item in compiled.report if item not in told))
    told.update(compiled.report)
    tree = emit_compiled(checked, compiled)
    packages = package_sources(checked.config) if request.arguments[0] == "apply" else ()
    return replace(
        request,
        tree=tree,
        sums=checksums({item.path: item.content.encode() for item in tree}),
        weights=tuple(source.value for source in packages),
        cache=str(host_folders(scope, facts).weights),
        places=known_places(checked.document, tree) if request.arguments[0] == "plan" else {},
    )


@contextlib.contextmanager
def _interruptible(remotes: Sequence[_Remote]) -> Iterator[threading.Event]:
    """Have Ctrl-C, SIGTERM and SIGHUP interrupt what is under way there; a second one ends the connections.

    Yields what tells, then and afterwards, whether one came.
    """
    came = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        first = not came.is_set()
        came.set()
        if first:
            note("interrupted: the hosts go back; once more ends the connections, and they go back unseen")
        for remote in remotes:
            if first and remote.session.version:
                remote.session.interrupt()
            else:
                remote.session.kill()

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came.is_set():
        for remote in remotes:
            remote.code = INTERRUPTED if remote.code is None else remote.code


def _report(remotes: Sequence[_Remote], *, as_json: bool) -> int:
    codes = [remote.error.exit_code if remote.error else remote.code or 0 for remote in remotes]
    if as_json:
        result_json({"hosts": [_data(remote, code) for remote, code in zip(remotes, codes, strict=True)]})
    else:
        for remote in remotes:
            if remote.results and len(remotes) > 1:
                result(f"{remote.name}:")
            for line in remote.results:
                result(f"  {line}".rstrip() if len(remotes) > 1 else line)
    if len(remotes) > 1:
        rows = [(remote.name, _outcome(remote, code)) for remote, code in zip(remotes, codes, strict=True)]
        note(table(rows, ("HOST", "")))
    return max(codes, key=lambda code: _WORST.index(code) if code in _WORST else len(_WORST))


def _outcome(remote: _Remote, code: int) -> str:
    if remote.error is not None:
        return f"not done: {remote.error.message}"
    words = {0: "done", 2: "has changes", INTERRUPTED: "interrupted"}
    return words.get(code, f"failed (exit code {code})")


def _data(remote: _Remote, code: int) -> dict[str, Any]:
    try:
        data = json.loads("\n".join(remote.results) or "null")
    except ValueError:
        data = None  # it was cut short
    return {
        "host": remote.name,
        "exit_code": code,
        "error": remote.error.message if remote.error else None,
        "result": data,
    }
