"""The words that the configuration has for what is emitted, for those who tell what a change of it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.artifact import Artifact
from modelgrid.settings_record import SETTINGS, dump_settings

if TYPE_CHECKING:
    from modelgrid.ir import Deployment


def settings(deployment: Deployment) -> Artifact:
    """Return the settings of *deployment*."""
    return Artifact(path=SETTINGS, content=dump_settings(dict(deployment.settings)))
