"""A folder on the import path with plugins that were installed without pip."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Site:
    """Plugins and a cache of their own, beside what is installed."""

    folder: Path

    def install(self, name: str, source: str) -> None:
        """Install a distribution with one plugin, whose hook module is ``source``."""
        module = name.replace("-", "_")
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[groupbench]\n{name} = {module}\n")
        (info / "RECORD").write_text("")
        (self.folder / f"{module}.py").write_text(source)

    def environment(self) -> dict[str, str]:
        """Return an environment in which they are installed, one thread a process, offline."""
        before = os.environ.get("PYTHONPATH")
        paths = [str(self.folder), *([before] if before else [])]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "GROUPBENCH_CACHE": str(self.folder / "cache"),
            "GROUPBENCH_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
