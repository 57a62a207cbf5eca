"""What the client of a language-model server costs: CPU per example by part, and memory.

    python benchmarks/llm_client.py [--rounds 5] [--examples 2000] [--queued 1000 100000]

A server in another process answers at once. What asking takes is measured in rungs, each of which
does one thing more than the one before (`_client_arm.py`), so that a part is a difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from _machine import Machine
from _paired import Spread, in_turns, run
from _report import Goal, Report, Table, parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).parent
MAX_MS = 3.0
"""CPU per example, all parts together."""
MAX_GROWTH_MB = 5.0
"""Of the peak, from the fewest queued requests to the most."""
RUNGS = ("built", "keyed", "read", "stored", "sent")
SHAPES = ("short", "long")
PARTS = {
    "build": "prompts rendered, tokenised, cut from their labels",
    "read": "requests made and paced, replies parsed, label scores summed",
    "store": "keys, look-up in the response store, writing into it",
    "send": "HTTP over loopback",
}


@contextmanager
def quick_server() -> Iterator[str]:
    """Run the server that answers at once; give its URL."""
    process = subprocess.Popen(
        [sys.executable, HERE / "_quick_server.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def command(url: str, shape: str, n: int, rungs: Sequence[str]) -> list[str]:
    """Return the command that asks about ``n`` examples."""
    asked = {"url": url, "shape": shape, "n": n, "rungs": list(rungs)}
    return [sys.executable, str(HERE / "_client_arm.py"), json.dumps(asked)]


def environment() -> dict[str, str]:
    """Return one with a thread a process, and offline."""
    told = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **told}


def parts(rungs: Mapping[str, float]) -> dict[str, float]:
    """Return what each part takes, of what each rung does, in the same unit.

    >>> parts({"built": 1, "keyed": 0.25, "read": 2, "stored": 2.5, "sent": 4})
    {'build': 1, 'read': 0.75, 'store': 0.75, 'send': 1.5}
    """
    return {
        "build": rungs["built"],
        "read": rungs["read"] - rungs["built"] - rungs["keyed"],
        "store": rungs["keyed"] + rungs["stored"] - rungs["read"],
        "send": rungs["sent"] - rungs["stored"],
    }


def measure(url: str, n: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Return the CPU milliseconds an example of each rung, by shape and round."""

    def once(shape: str) -> dict[str, float]:
        found = json.loads(run(command(url, shape, n, RUNGS), env=environment()).output)
        return {name: 1e3 * seconds / n for name, seconds in found.items()}

    return in_turns({shape: lambda shape=shape: once(shape) for shape in SHAPES}, rounds)  # type: ignore[misc] # a default binds the loop's variable


def peaks(url: str, sizes: Sequence[int]) -> dict[int, int]:
    """Return the peak resident bytes of a process that asks about so many examples."""
    return {n: run(command(url, "short", n, ["sent"]), env=environment()).peak_bytes for n in sizes}


def report(
    machine: Machine,
    n: int,
    found: Mapping[str, Sequence[Mapping[str, float]]],
    memory: Mapping[int, int],
) -> Report:
    """Return the tables and the goals."""
    rows, goals = [], []
    for shape, rounds in found.items():
        by_part = [parts(rungs) for rungs in rounds]
        whole = Spread.of([rungs["sent"] for rungs in rounds])
        each_part = (str(Spread.of([each[part] for each in by_part])) for part in PARTS)
        rows.append((shape, *each_part, str(whole)))
        goals.append(
            Goal(
                f"{shape} prompts: under {MAX_MS:g} CPU ms an example, all parts together",
                whole.median,
                at_most=MAX_MS,
                spread=str(whole),
            )
        )
    few, many = min(memory), max(memory)
    goals.append(
        Goal(
            f"peak memory grows by under {MAX_GROWTH_MB:g} MB from {few} to {many} queued requests",
            (memory[many] - memory[few]) / 1e6,
            at_most=MAX_GROWTH_MB,
        )
    )
    what = "; ".join(f"*{part}*: {said}" for part, said in PARTS.items())
    n_rounds = len(next(iter(found.values())))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg()[:2])
    return Report(
        name="llm_client",
        title="The client of a language-model server",
        compares=(
            f"CPU of the client's process for {n} label reads of three labels, 64 at once, from "
            "examples to scores; a server in another process answers at once. Short prompts have "
            "37 tokens, long ones 866, of which their 16 shots are shared. A part is the "
            f"difference of two runs, one of which does it: {what}. Median and quartiles of "
            f"{n_rounds} rounds."
        ),
        machine=machine,
        tables=(
            Table(
                "CPU milliseconds an example",
                ("prompts", *PARTS, "all"),
                tuple(rows),
            ),
            Table(
                "Memory, short prompts",
                ("queued requests", "peak MB"),
                tuple((str(size), f"{peak / 1e6:.1f}") for size, peak in sorted(memory.items())),
            ),
        ),
        goals=tuple(goals),
        notes=(
            f"Load average when it ended, over 1 and 5 minutes, its own work included: {load}. CPU "
            "milliseconds are longer on a busy machine too: caches and cores are shared.",
        ),
        samples={
            "cpu_ms": {shape: [dict(each) for each in rounds] for shape, rounds in found.items()},
            "peak_bytes": {str(size): peak for size, peak in memory.items()},
        },
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--examples", type=int, default=2000, help="of each rung")
    options.add_argument("--queued", type=int, nargs="+", default=[1000, 100_000])
    chosen = options.parse_args()
    if len(set(chosen.queued)) < 2 or min(chosen.queued) < 1:
        options.error(f"--queued {chosen.queued}: name at least two different sizes above 0")
    machine = Machine.here()
    with quick_server() as url:
        found = measure(url, chosen.examples, chosen.rounds)
        memory = peaks(url, chosen.queued)
    report(machine, chosen.examples, found, memory).write(chosen.out)


if __name__ == "__main__":
    main()
