"""What this machine has: cores, GPUs, and counts of processes killed for want of memory."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return how many cores this process may keep busy: affinity and the container's quota."""
    if hasattr(os, "sched_getaffinity"):
        n_cores = len(os.sched_getaffinity(0))
    else:
        n_cores = os.cpu_count() or 1
    quota = _cpu_quota()
    return n_cores if quota is None else max(1, min(n_cores, int(quota)))


def usable_memory_bytes() -> int:
    """Return how much memory this process may use: the machine's, or less in a container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in (CGROUPS / "memory.max", CGROUPS / "memory" / "memory.limit_in_bytes"):
        try:
            total = min(total, int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total


def gpu_devices() -> tuple[str, ...]:
    """Return the CUDA devices this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        devices = [name.strip() for name in visible.split(",")]
        # As CUDA reads it: what follows an invalid name does not count.
        if "-1" in devices:
            devices = devices[: devices.index("-1")]
        return tuple(name for name in devices if name)
    import shutil
    import subprocess

    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        listed = subprocess.run(  # noqa: S603 - found on the user's own PATH
            [command, "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in listed.stdout.splitlines() if line.strip())


def oom_counters() -> tuple[Path, ...]:
    """Return the files in which the system counts processes it killed for want of memory."""
    found = [Path("/proc/vmstat")]
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if not controllers:
            found += [CGROUPS / below / "memory.events", CGROUPS / "memory.events"]
        elif "memory" in controllers.split(","):
            home = CGROUPS / "memory"
            found += [home / below / "memory.oom_control", home / "memory.oom_control"]
    return tuple(dict.fromkeys(path for path in found if path.exists()))


def count_oom_kills(counters: tuple[Path, ...]) -> tuple[int, ...]:
    """Return the counts of `oom_counters`; 0 where one cannot be read."""
    counts = []
    for path in counters:
        try:
            words = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
            counts.append(sum(int(pair[1]) for pair in words if pair[0] == "oom_kill"))
        except (OSError, ValueError, IndexError):
            counts.append(0)
    return tuple(counts)


def _cpu_quota() -> float | None:
    """Return how many cores' worth of time the container may use."""
    try:
        limit, period = (CGROUPS / "cpu.max").read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = (CGROUPS / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (CGROUPS / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        return None if int(limit) <= 0 else int(limit) / int(period)
    except (OSError, ValueError):
        return None
