"""``service`` and ``container``: start, stop and look at what is applied."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from modelgrid.apply import control, observe
from modelgrid.apply.host import this_host
from modelgrid.apply.systemd import Verb
from modelgrid.cli.output import note, result, result_json, table
from modelgrid.cli.pipeline import scope_of
from modelgrid.errors import HostError

if TYPE_CHECKING:
    import argparse


def run_enable(options: argparse.Namespace) -> int:
    """Start the grid at boot."""
    control.start_at_boot(this_host(scope_of(options)), wanted=True)
    note("the grid starts at boot")
    return 0


def run_disable(options: argparse.Namespace) -> int:
    """Do not start the grid at boot."""
    control.start_at_boot(this_host(scope_of(options)), wanted=False)
    note("the grid does not start at boot")
    return 0


def run_start(options: argparse.Namespace) -> int:
    """Start everything."""
    return _control_grid(options, Verb.START, "started")


def run_stop(options: argparse.Namespace) -> int:
    """Stop everything."""
    return _control_grid(options, Verb.STOP, "stopped")


def run_restart(options: argparse.Namespace) -> int:
    """Restart everything."""
    return _control_grid(options, Verb.RESTART, "restarted")


def run_logs(options: argparse.Namespace) -> int:
    """Show the journal of all units."""
    return _journal(options, "modelgrid*")


def run_container_list(options: argparse.Namespace) -> int:
    """List the models and their units."""
    status = observe.status(this_host(scope_of(options)))
    models = [item for item in status.units if item.model]
    if options.json:
        result_json(
            [
                {"model": item.model, "unit": item.unit, "active": item.state.active, "sub": item.state.sub}
                for item in models
            ]
        )
        return 0
    if status.generation is None:
        note("nothing is applied on this host")
        return 0
    rows = [(item.model, item.unit, f"{item.state.active} ({item.state.sub})") for item in models]
    result(table(rows, ("MODEL", "UNIT", "STATE")))
    return 0


def run_container_start(options: argparse.Namespace) -> int:
    """Start one model."""
    note(f"started {control.control_model(this_host(scope_of(options)), options.model, Verb.START)}")
    return 0


def run_container_stop(options: argparse.Namespace) -> int:
    """Stop one model."""
    note(f"stopped {control.control_model(this_host(scope_of(options)), options.model, Verb.STOP)}")
    return 0


def run_container_restart(options: argparse.Namespace) -> int:
    """Restart one model, which brings a definition to effect that waits for it."""
    note(f"restarted {control.control_model(this_host(scope_of(options)), options.model, Verb.RESTART)}")
    return 0


def run_container_logs(options: argparse.Namespace) -> int:
    """Show the journal of one model."""
    units = control.units_of_model(this_host(scope_of(options)), options.model)
    return _journal(options, *(unit.name for unit in units))


def _control_grid(options: argparse.Namespace, verb: Verb, done: str) -> int:
    control.control_grid(this_host(scope_of(options)), verb)
    note(f"{done} the gateway and every model")
    return 0


def _journal(options: argparse.Namespace, *units: str) -> int:
    scope = "--user-unit" if options.user else "--unit"
    argv = ["journalctl", "--no-pager", *(f"{scope}={unit}" for unit in units), f"--lines={options.lines}"]
    try:
        done = subprocess.run([*argv, *(["--follow"] if options.follow else [])], check=False)
    except OSError as error:
        raise HostError("this host has no journalctl", hint="the journal is systemd's") from error
    # journalctl has said what is wrong
    return 0 if done.returncode == 0 else HostError.exit_code
