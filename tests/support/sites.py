"""Places where tests install plugins without pip, and small tasks as cards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIXTURE_PLUGIN = Path(__file__).parents[1] / "fixture_plugin"


@dataclass
class Site:
    """A folder on the import path in which plugins can be installed without pip."""

    folder: Path
    paths: list[Path] = field(default_factory=list)

    def install(self, name: str, *, module: str, source: str | None = None) -> None:
        """Install a distribution whose entry point is ``module``, written from ``source``."""
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[groupbench]\n{name} = {module}\n")
        (info / "RECORD").write_text("")
        if source is not None:
            path = self.folder / (module.replace(".", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)

    def environment(self, **more: str) -> dict[str, str]:
        """Return an environment in which the site's plugins are installed."""
        paths = [str(self.folder), *map(str, self.paths), os.environ["PYTHONPATH"]]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}

    def groupbench(
        self, *arguments: object, timeout: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "groupbench", *map(str, arguments)],
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.folder,
        )


def write_tasks(folder: Path, names: list[str], *, n: int = 24, **card: Any) -> Path:
    """Write small single-label tasks as card folders; return the folder that holds them."""
    for name in names:
        task = folder / name
        task.mkdir(parents=True)
        facts = {"name": name, "kind": "single", "domain": "made", "data_class": "open"} | card
        lines = [f"{key} = {json.dumps(value)}" for key, value in facts.items()]
        lines += ['labels = ["no", "yes"]', 'metrics = ["accuracy"]']
        (task / "card.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for split in ("train", "validation", "test"):
            rows = [
                {"text": f"{name} {split} item {i}", "label": ["no", "yes"][i % 2]}
                for i in range(n)
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (task / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder
