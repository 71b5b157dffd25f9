"""Forms that a compiled tree can be handed over in: an archive for an image, a NixOS module, Butane, Ignition, bootc.

Each is a function of the artifacts, with no look at this host: the same bytes on every system. None starts a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.emit.artifact import Artifact
    from modelgrid.forms.output import Output

#: The tree as it is, which ``apply`` would write as a generation.
TREE = "tree"

#: Every form, by its name on the command line.
FORMS = (TREE, "host-tree", "nixos", "butane", "ignition", "bootc")


def convert(artifacts: Sequence[Artifact], form: str, *, distribution: str = "") -> Output:
    """Return the files of *form*, one of FORMS.

    Args:
        artifacts: what ``emit`` made, for the system's units.
        form: its name.
        distribution: ``ID`` of the target's os-release(5).

    Raises:
        ConfigError: the target is not of the form's kind.
        InternalError: an artifact is of a kind that no form places.
    """
    from modelgrid.forms import bootc, host_tree, ignition, nixos, output  # noqa: PLC0415  one command needs them

    match form:
        case "host-tree":
            return host_tree.convert(artifacts)
        case "nixos":
            return nixos.convert(artifacts, distribution=distribution)
        case "butane":
            from modelgrid.forms import butane  # noqa: PLC0415  the same

            return butane.convert(artifacts, distribution=distribution)
        case "ignition":
            return ignition.convert(artifacts)
        case "bootc":
            return bootc.convert(artifacts)
        case _:
            return output.as_it_is(artifacts)
