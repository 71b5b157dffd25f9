"""The real tools of Debian's suites, run on folders of files without booting anything.

The first call for a suite builds its root file system (30 s), later ones take less than 0.1 s. A test that uses them
is marked ``tools``; where root or mmdebstrap is missing it is skipped.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine.overlay import Result, run_in_root
from tests.machine.rootfs import SUITES, host_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SUITES", "Result", "quadlet_generator", "systemd_analyze_security", "systemd_analyze_verify"]

#: Where the programs that our units start are on a host; `systemd-analyze verify` wants them there.
PROGRAMS = ("/usr/local/bin/modelgrid", "/opt/modelgrid/bin/modelgrid")

QUADLET = "/usr/libexec/podman/quadlet"
QUADLETS = "/etc/containers/systemd"
UNITS = "/etc/systemd/system"
GENERATED = "/run/systemd/generator"
RUNTIME = "/run/user/0"
USER_UNITS = "/etc/systemd/user"
USER_GENERATED = f"{RUNTIME}/systemd/generator"
LISTED = "/run/listed"

#: The unit of Docker's package, which is not in the root file systems.
_DOCKER = """\
printf '[Service]\\nExecStart=/usr/bin/docker\\n' >/usr/lib/systemd/system/docker.service
"""

#: The kinds of units that ModelGrid writes or may write.
KINDS = (".service", ".target", ".socket", ".timer", ".path", ".slice")


def quadlet_generator(suite: str, *, user: bool = False) -> Callable[[Path], Result]:
    """The quadlet generator of *suite*'s podman, as a function of a folder of quadlets.

    It does not write: stdout has every generated unit after a line ``---NAME.service---``, stderr what the generator
    says about the files. *user* makes it the generator of a user's manager. The folder is looked through recursively
    and is at ``/etc/containers/systemd`` for the generator, as on a host.
    """
    argv = [QUADLET, "-dryrun", *(["-user"] if user else [])]

    def generate(folder: Path) -> Result:
        return run_in_root([host_root(suite)], argv, folders={QUADLETS: folder}, env={"QUADLET_UNIT_DIRS": QUADLETS})

    return generate


def systemd_analyze_verify(
    suite: str,
    units: Path,
    *,
    quadlets: Path | None = None,
    executables: Sequence[str] = PROGRAMS,
    user: bool = False,
) -> Result:
    """What *suite*'s ``systemd-analyze verify`` says about each unit in the folder *units*.

    *quadlets* is a folder of quadlets; the units that the suite's generator makes of them are there too and verified
    with the others. *executables* are programs that the host is to have. *user*: they are units of a user's manager.
    systemd-analyze ends with 0 after most faults (an unknown key, say): a clean result is one with nothing in stdout
    and stderr.
    """
    units_at, generated_at = (USER_UNITS, USER_GENERATED) if user else (UNITS, GENERATED)
    manager, generator = ("--user", f"{QUADLET} -user") if user else ("--system", QUADLET)
    folders = {units_at: units}
    generate = ""
    if quadlets is not None:
        folders[QUADLETS] = quadlets
        # what the generator says is quadlet_generator's business; a unit that it did not make is missed by verify
        generate = f"mkdir -p {generated_at}; QUADLET_UNIT_DIRS={QUADLETS} {generator} {generated_at} 2>/dev/null\n"
    # the host's own units are verified only as far as ours pull them in
    ours = "".join(f"{units_at}/{path.name}\n" for path in sorted(units.iterdir()) if path.suffix in KINDS)
    generated = " ".join(f"{generated_at}/*{kind}" for kind in KINDS)
    with tempfile.TemporaryDirectory() as listed:
        # in a file: a thousand names are too long for an argument
        (Path(listed) / "units").write_text(ours, encoding="utf-8")
        folders[LISTED] = Path(listed)
        script = f"""
shopt -s nullglob
mapfile -t ours <{LISTED}/units
{_DOCKER}{generate}exec systemd-analyze {manager} verify --man=no "${{ours[@]}}" {generated}
"""
        return run_in_root(
            [host_root(suite)],
            ["bash", "-c", script],
            folders=folders,
            executables=executables,
            env={"XDG_RUNTIME_DIR": RUNTIME} if user else {},
        )


def systemd_analyze_security(suite: str, unit: Path, *, threshold: int) -> Result:
    """What *suite*'s ``systemd-analyze security`` says about the unit file *unit*, without the manager.

    Its return code is not 0 when the overall exposure, times ten, is above *threshold* (15 for an exposure of 1.5);
    the last line of stdout says the exposure.
    """
    argv = [
        "systemd-analyze",
        "security",
        "--offline=yes",
        f"--threshold={threshold}",
        "--no-pager",
        f"{UNITS}/{unit.name}",
    ]
    return run_in_root([host_root(suite)], argv, folders={UNITS: unit.parent})
