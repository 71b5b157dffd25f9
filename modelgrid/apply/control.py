"""Starting and stopping what is applied: the whole grid, or one model. Changes no file but the link for the boot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from modelgrid.apply.events import ApplyError, UnitFailure
from modelgrid.apply.observe import current_tree
from modelgrid.apply.planning.units import Role, Unit, units_of
from modelgrid.apply.store.files import locked, make_folder, remove_name, replace_link
from modelgrid.apply.systemd import Verb
from modelgrid.emit.names import TARGET
from modelgrid.emit.routing import MANIFEST
from modelgrid.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.systemd import JobResult
    from modelgrid.emit.artifact import Artifact


def control_grid(host: Host, verb: Verb) -> None:
    """Start, stop or restart everything that is applied, and wait for it.

    Raises:
        HostError: nothing is applied, another process is changing the host, or systemd does not answer.
        ApplyError: a unit is not up afterwards.
    """
    tree = _applied(host)
    with locked(host.files, host.layout.lock):
        # the target takes its units along but does not wait for them, so each has a job of its own
        servers = [unit for unit in units_of(tree).values() if unit.role in {Role.GATEWAY, Role.SERVICE}]
        states = host.systemd.states(unit.name for unit in servers)
        servers = [unit for unit in servers if not states[unit.name].masked]
        host.systemd.wait(
            [host.systemd.enqueue(verb, name) for name in (TARGET, *(unit.name for unit in servers))], _unheard
        )
        if verb is not Verb.STOP:
            states = host.systemd.states(unit.name for unit in servers)
            _fail_on([unit for unit in servers if not states[unit.name].up])


def control_model(host: Host, model: str, verb: Verb) -> str:
    """Start, stop or restart the server of *model*, a name or an alias. Returns its unit.

    Raises:
        UsageError: there is no such model.
        HostError: as :func:`control_grid`.
        ApplyError: the server did not come up.
    """
    units = units_of_model(host, model)
    with locked(host.files, host.layout.lock):
        results = host.systemd.wait([host.systemd.enqueue(verb, unit.name) for unit in units], _unheard)
    failed = [result for result in results if not result.done]
    if failed:
        _fail_on([unit for unit in units if unit.name in {item.job.unit for item in failed}], failed[0].result)
    return ", ".join(unit.name for unit in units)


def units_of_model(host: Host, model: str) -> tuple[Unit, ...]:
    """Return the units of the servers of *model*, a name or an alias: one for each replica.

    Raises:
        UsageError: there is no such model.
        HostError: nothing is applied.
    """
    tree = _applied(host)
    by_model: dict[str, list[Unit]] = {}
    for unit in units_of(tree).values():
        for name in unit.models:
            by_model.setdefault(name, []).append(unit)
    units = by_model.get(_aliases(tree).get(model, model))
    if units is None:
        known = ", ".join(sorted(by_model)) or "none"
        raise UsageError(f"there is no model {model}", hint=f"the models are: {known}")
    return tuple(units)


def start_at_boot(host: Host, *, wanted: bool) -> None:
    """Make the boot start the grid, or not. It takes effect at the next boot; nothing starts or stops now.

    Raises:
        HostError: nothing is applied, another process is changing the host, or the link cannot be written.
    """
    _applied(host)
    layout = host.layout
    try:
        with locked(host.files, layout.lock):
            if wanted:
                make_folder(host.files, layout.wants_link.parent)
                replace_link(host.files, layout.wants_link, str(layout.unit_target(TARGET)))
            else:
                remove_name(host.files, layout.wants_link)
            host.systemd.daemon_reload()
    except OSError as error:
        raise HostError(f"cannot change {layout.wants_link}: {error.strerror or error}") from error


def _unheard(_result: JobResult) -> None:
    """Hear of no single job: all of them are looked at in the end."""


def _applied(host: Host) -> tuple[Artifact, ...]:
    tree = current_tree(host)
    if tree is None:
        raise HostError("nothing is applied on this host", hint="modelgrid apply makes the first generation")
    return tree


def _aliases(tree: Sequence[Artifact]) -> Mapping[str, str]:
    routing = next((item.content for item in tree if item.path == MANIFEST), "{}")
    routes = json.loads(routing).get("routes", [])
    return {alias: route["model"] for route in routes for alias in route["aliases"]}


def _fail_on(units: Sequence[Unit], result: str = "failed") -> None:
    if units:
        raise ApplyError([UnitFailure(unit=unit.name, model=unit.model, result=result) for unit in units])
