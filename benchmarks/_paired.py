"""Taking turns, so that a machine's drift meets all that is compared; and how figures spread."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of repeated measurements.

    >>> str(Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]))
    '3.00 (2.00 to 4.00)'
    """

    median: float
    low: float
    """The lower quartile; of fewer than four values the lowest."""
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        known = sorted(values)
        if len(known) == 1:
            return cls(known[0], known[0], known[0])
        low, median, high = quantiles(known, n=4, method="inclusive")
        return cls(median, low, high) if len(known) > 3 else cls(median, known[0], known[-1])

    def text(self, digits: int = 2) -> str:
        """Return ``median (low to high)``, or the value alone where there is only one."""
        if self.low == self.high:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"

    def __str__(self) -> str:
        return self.text()


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each round: both were measured one after the other."""
    return [a / b for a, b in zip(above, below, strict=True)]


def turns(names: Sequence[str], n_rounds: int) -> Iterator[str]:
    """Yield every name once a round, every other round in reverse.

    >>> list(turns(["a", "b"], 3))
    ['a', 'b', 'b', 'a', 'a', 'b']
    """
    for number in range(n_rounds):
        yield from names if number % 2 == 0 else reversed(names)


def in_turns(arms: Mapping[str, Callable[[], T]], n_rounds: int) -> dict[str, list[T]]:
    """Return what every arm returned in each round."""
    found: dict[str, list[T]] = {name: [] for name in arms}
    for name in turns(list(arms), n_rounds):
        found[name].append(arms[name]())
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took, its own children included."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    """Resident memory of the largest of its processes."""
    output: str


def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Usage:
    """Run a command to its end and return what it took.

    Linux counts the memory of whoever starts a process as the process's own peak, so that this
    program must stay small where peaks matter.

    Raises:
        SystemExit: it failed; the message shows what it wrote.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=None if env is None else dict(env),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return Usage(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024, output)
