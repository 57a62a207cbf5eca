"""What this plugin offers: the loader ``hub``."""

from __future__ import annotations

from groupbench.hookspecs import hookimpl
from groupbench_hub.loader import HubLoader


@hookimpl
def groupbench_register_loaders() -> list[type]:
    return [HubLoader]
