"""What a measurement was taken on."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
MAX_IN_USE = 0.25
PACKAGES = ("groupbench", "torch", "transformers", "accelerate", "numpy", "pyarrow", "click")


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, versions, commit and how busy the machine was with other things."""

    processor: str
    n_cores: int
    python: str
    versions: dict[str, str]
    commit: str
    date: str
    cores_in_use: float
    """Cores that others kept busy in the second before anything was measured."""
    busy: bool = field(init=False)
    """Too much so for seconds to be believed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "busy", self.cores_in_use > MAX_IN_USE)

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine; call it before anything is measured."""
        return cls(
            processor=_processor(),
            n_cores=len(os.sched_getaffinity(0)),
            python=platform.python_version(),
            versions=_versions(),
            commit=_commit(),
            date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            cores_in_use=round(_cores_in_use(), 2),
        )


def _cores_in_use() -> float:
    """Return how many cores are busy. Unlike the load it does not remember what ran before."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return os.getloadavg()[0]

    def ticks() -> int:
        user, nice, system, _, _, irq, softirq, *_ = map(
            int, stat.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
        )
        return user + nice + system + irq + softirq

    before, started = ticks(), time.perf_counter()
    time.sleep(1)
    seconds = time.perf_counter() - started
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    def git(*arguments: str) -> str:
        asked = ["git", "-C", str(HERE), *arguments]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()

    # what the figures are of: results that are being written change nothing
    changed = git("status", "--porcelain", "--", "../harness", "../plugins", "*.py")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")
