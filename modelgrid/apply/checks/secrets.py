"""The secrets that a host's units use, by reference: whether they are there, and whether one was rotated.

No value is ever read. What tells two values of a secret apart is what its keeper says of it: podman's id and time of
change, a file's identity.
"""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.checks.needs import Secret, SecretKind, secrets_of
from modelgrid.apply.checks.problems import Findings, Problem
from modelgrid.apply.planning.plan import SecretUse
from modelgrid.apply.process import NOT_FOUND
from modelgrid.apply.store.records import Records, SecretsInUse
from modelgrid.ir import OnChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.plan import Plan
    from modelgrid.apply.planning.units import Unit

#: What its servers make of a change: nothing, until someone restarts them.
_BY_HAND = frozenset({OnChange.KEEP_OLD, OnChange.MANUAL})


def secrets_in_use(host: Host, units: Iterable[Unit]) -> Mapping[str, tuple[Secret, ...]]:
    """Return the secrets of each of *units* that uses any, by its name."""
    current = str(host.layout.current)
    found = {unit.name: secrets_of(unit, current) for unit in units}
    return {name: secrets for name, secrets in found.items() if secrets}


def secret_uses(host: Host, units: Mapping[str, Unit], *, look: bool) -> tuple[SecretUse, ...]:
    """Return what secrets *units* use; without *look*, their fingerprints are not known."""
    used = secrets_in_use(host, units.values())
    prints = fingerprints(host, {item.key: item for items in used.values() for item in items}.values()) if look else {}
    return tuple(
        SecretUse(
            unit=name,
            model=units[name].model,
            name=secret.name,
            kind=secret.kind.value,
            key=secret.key,
            fingerprint=prints.get(secret.key, ""),
        )
        for name, secrets in used.items()
        for secret in secrets
    )


def rotated(host: Host, uses: Iterable[SecretUse], units: Mapping[str, Unit]) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the secrets of each unit that were given other values since it started."""
    recorded = Records(host.files, host.layout).secrets()
    found: dict[str, tuple[str, ...]] = {}
    for use in uses:
        before = recorded.get(use.unit)
        old = before.fingerprints.get(use.key) if before is not None else None
        if before is None or old is None or not use.fingerprint or old == use.fingerprint:
            continue
        if units[use.unit].on_change in _BY_HAND and host.systemd.invocation(use.unit) != before.invocation:
            # who restarts it by hand gives it the new one
            continue
        found[use.unit] = (*found.get(use.unit, ()), use.name)
    return found


def in_use_after(host: Host, plan: Plan) -> Mapping[str, SecretsInUse]:
    """Return by which secrets units run once *plan* was carried out, as it found them before its first step."""
    recorded = Records(host.files, host.layout).secrets()
    waiting = {item.unit for item in plan.waiting}
    found: dict[str, dict[str, str]] = {}
    for use in plan.secrets:
        before = recorded.get(use.unit)
        old = before.fingerprints.get(use.key, "") if before is not None else ""
        # a server that goes on has the value that it was started with
        value = old if use.unit in waiting and old else use.fingerprint or old
        if value:
            found.setdefault(use.unit, {})[use.key] = value
    return {
        unit: SecretsInUse(
            invocation=recorded[unit].invocation
            if unit in waiting and unit in recorded
            else host.systemd.invocation(unit),
            fingerprints=values,
        )
        for unit, values in found.items()
    }


def secret_findings(host: Host, units: Iterable[Unit]) -> Findings:
    """Find the secrets of *units* that are not there, and those that more than their owner may read."""
    by_name = {unit.name: unit for unit in units}
    users: dict[str, tuple[Secret, Unit]] = {}
    for name, secrets in secrets_in_use(host, by_name.values()).items():
        for secret in secrets:
            users.setdefault(secret.key, (secret, by_name[name]))
    kept = _podman_secrets(host, [secret for secret, _ in users.values()])
    findings = Findings()
    for secret, unit in users.values():
        subject = f"model {unit.model}" if unit.model else unit.name
        if secret.kind is SecretKind.PODMAN:
            if kept is not None and secret.name not in kept:
                findings += _missing_in_podman(secret, subject)
        else:
            findings += _file_findings(host, secret, subject)
    return findings


def fingerprints(host: Host, secrets: Iterable[Secret]) -> Mapping[str, str]:
    """Return what tells the present value of each of *secrets* from every other, by key.

    One that is not there, or that its keeper does not tell of, is left out. A fingerprint says nothing of the value.
    """
    secrets = tuple(secrets)
    kept = _podman_secrets(host, secrets) or {}
    found: dict[str, str] = {}
    for secret in secrets:
        if secret.kind is SecretKind.PODMAN:
            identity = kept.get(secret.name)
        else:
            status = host.files.identity(Path(secret.path))
            # not the device: of some file systems it is another after each boot
            identity = status and f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"
        if identity:
            found[secret.key] = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return found


def _podman_secrets(host: Host, secrets: Iterable[Secret]) -> Mapping[str, str] | None:
    """Return what podman says of those of *secrets* that it keeps, by name; none where it does not answer."""
    names = sorted({secret.name for secret in secrets if secret.kind is SecretKind.PODMAN})
    if not names:
        return {}
    done = host.processes.run("podman", "secret", "inspect", *names)
    if done.returncode == NOT_FOUND:
        return None
    try:
        # of those that are missing it tells on stderr, and prints the rest
        rows = json.loads(done.stdout or "[]")
        return {str(row["Spec"]["Name"]): f"{row['ID']} {row['UpdatedAt']}" for row in rows}
    except (ValueError, KeyError, TypeError):
        return None


def _missing_in_podman(secret: Secret, subject: str) -> Findings:
    message = f"podman has no secret {secret.name}, which {subject} uses"
    # the dash reads the value from stdin, so that it is on no command line
    return Findings(problems=(Problem(message=message, hint=f"make it with: podman secret create {secret.name} -"),))


def _file_findings(host: Host, secret: Secret, subject: str) -> Findings:
    path = Path(secret.path)
    status = host.files.identity(path)
    if status is None or not (stat.S_ISREG(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
        message = f"{path}, the secret {secret.name} of {subject}, is not {'a file' if status else 'on this host'}"
        encrypt = f"write it with: systemd-creds encrypt --name={secret.name} - {path}"
        plain = "write it for root alone: install -m 0600 /dev/stdin " + str(path)
        hint = encrypt if secret.kind is SecretKind.ENCRYPTED else plain
        return Findings(problems=(Problem(message=message, hint=hint),))
    if not host.files.readable(path):
        message = f"{path}, the secret {secret.name} of {subject}, cannot be read by the user who starts the unit"
        return Findings(problems=(Problem(message=message, hint="correct its owner and mode"),))
    if secret.kind is SecretKind.FILE and status.st_mode & stat.S_IROTH:
        note = f"every user of this host may read {path}, the secret {secret.name}; to close it: chmod go= {path}"
        return Findings(notes=(note,))
    return Findings()
