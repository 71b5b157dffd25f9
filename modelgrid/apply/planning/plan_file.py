"""A plan in a file, to be applied later: the tree, and everything of the host that it was made for.

It is applied only where nothing of that has moved (:mod:`modelgrid.apply.planning.basis`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelgrid import __version__
from modelgrid.apply.observe import plan_now
from modelgrid.apply.planning.basis import Basis, moved, read_basis
from modelgrid.apply.store.adoption import to_adopt
from modelgrid.emit.artifact import Artifact
from modelgrid.errors import ConfigError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.host import Host

FORMAT = "modelgrid-plan"
FORMAT_VERSION = 1

#: Parts of a plan that say what is done. How requests are kept depends on the memory that is free at the time.
_DEEDS = ("files", "networks_removed", "links", "adopts")
_JOB = ("action", "unit", "when")

_NEW = "make a new plan, look at it, and apply that: modelgrid plan -o PLAN"


class StalePlanError(ConfigError):
    """What a saved plan was made for is no longer so. *moved* says what, a clause each."""

    def __init__(self, moved: Sequence[str]) -> None:
        super().__init__(f"the plan is no longer of use: {'; '.join(moved)}", hint=_NEW)
        self.moved = tuple(moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan that can be applied as it is.

    Attributes:
        modelgrid: the version that made it.
        plan: what was shown, as values that JSON has.
        weights: sources of weights that are unpacked before.
    """

    modelgrid: str
    scope: Scope
    basis: Basis
    plan: Mapping[str, Any]
    weights: tuple[str, ...]
    tree: tuple[Artifact, ...]

    @property
    def adopts(self) -> bool:
        """Whether it takes over what is in the way."""
        return bool(self.plan.get("adopts"))


def check_basis(saved: SavedPlan, host: Host, *, facts: Mapping[str, str], files: Mapping[str, str]) -> None:
    """See that everything *saved* was made for is still so, and that it still does what it was shown to do.

    *facts* are what compiling would know of the host now, *files* the hashes of what it would read.

    Raises:
        StalePlanError: something has moved; the message names each.
        HostError: systemd does not answer.
    """
    now = read_basis(host, saved.tree, facts=facts, files=files)
    found = moved(saved.basis, now)
    if saved.modelgrid != __version__:
        found += (f"it was made by modelgrid {saved.modelgrid}, and this is {__version__}",)
    adoption = to_adopt(host, saved.tree, adopt=saved.adopts)
    if not found and _deeds(plan_now(saved.tree, host, adoption=adoption).to_dict()) != _deeds(saved.plan):
        found = ("files or links of what is applied were changed by hand since",)
    if found:
        raise StalePlanError(found)


def _deeds(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return of *plan*, as values that JSON has, what it does."""
    jobs = [{name: action[name] for name in _JOB} for action in plan["actions"]]
    return {"actions": jobs, **{name: plan[name] for name in _DEEDS}}


def dump_saved(
    shown: Mapping[str, Any], tree: Sequence[Artifact], basis: Basis, *, scope: Scope, weights: Sequence[str]
) -> str:
    """Write a plan to *tree* as JSON; *shown* is what tools were shown of it."""
    value: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "modelgrid": __version__,
        "scope": scope.value,
        "basis": basis.to_dict(),
        "plan": dict(shown),
        "weights": list(weights),
        "tree": [{"path": item.path, "mode": item.mode, "content": str(item.content)} for item in sorted(tree)],
    }
    return json.dumps({**value, "sha256": _sum_of(value)}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def load_saved(text: str) -> SavedPlan | None:
    """Read a saved plan; none where *text* is something else, such as a configuration.

    Raises:
        ConfigError: it is one of another version, or was altered.
    """
    value = _parsed(text)
    if value is None:
        return None
    version = value.get("format_version")
    if version != FORMAT_VERSION:
        raise ConfigError(f"the plan has format {version}, and {FORMAT_VERSION} is known", hint=_NEW)
    recorded = value.pop("sha256", None)
    if recorded != _sum_of(value):
        raise ConfigError("the plan was altered after it was made", hint=_NEW)
    return SavedPlan(
        modelgrid=value["modelgrid"],
        scope=Scope(value["scope"]),
        basis=Basis(**value["basis"]),
        plan=value["plan"],
        weights=tuple(value["weights"]),
        tree=tuple(Artifact(path=item["path"], mode=item["mode"], content=item["content"]) for item in value["tree"]),
    )


def _parsed(text: str) -> dict[str, Any] | None:
    """Return the object of a plan; none where *text* is none. A configuration may be JSON, and has no format."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("format") == FORMAT else None


def _sum_of(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
