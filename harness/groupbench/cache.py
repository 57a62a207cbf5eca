"""The folder for what can be made again: on the local disk, never beside a shared store."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return the cache folder of that name; it may not exist, and may not be writable.

    ``GROUPBENCH_CACHE`` overrides where caches live.
    """
    override = os.environ.get("GROUPBENCH_CACHE")
    if override:
        return Path(override) / name
    import platformdirs

    return Path(platformdirs.user_cache_dir("groupbench")) / name
