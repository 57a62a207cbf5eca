"""What this machine can and cannot run, and why."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from groupbench.offline import offline_because

if TYPE_CHECKING:
    from groupbench.plugins import Plugins

SCHEMA = "groupbench/health/1"
LIBRARIES = (
    *("groupbench", "numpy", "scipy", "pyarrow", "scikit-learn", "torch", "transformers"),
    *("tokenizers", "peft", "torchjd", "datasets", "evaluate"),
)


def health(plugins: Plugins) -> dict[str, Any]:
    """Return the ``health`` document: machine, libraries, what is available and what is not.

    No plugin and no heavy library is imported: versions are those of the installed distributions.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "schema": SCHEMA,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": len(affinity(0)) if affinity is not None else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "offline": offline_because() is not None,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "available": [
            {
                "kind": kind.removesuffix("s"),
                "name": name,
                "available": offering.reason is None,
                "reason": offering.reason,
            }
            for kind in ("runners", "executors")
            for name, offering in plugins.offered(kind).items()
        ],
        "broken": [str(broken) for broken in plugins.broken],
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
