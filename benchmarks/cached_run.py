"""How long a fully cached run takes in a fresh process: 8 tasks x 6 groupings x 3 seeds.

Data fingerprints are checked again and every key is computed again. The encoder runner is real (two
steps a fit); the tasks are made here. ``python benchmarks/cached_run.py [--repeat N]``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N_TASKS = 8
ROWS = {"train": 4000, "validation": 1000, "test": 1000}
WORDS = [f"w{number}" for number in range(500)]
GROUPINGS = ("single", "all", "pvi", "pvi-paper", "by-domain", "random:k=3,draws=1")


def write_tasks(folder: Path) -> None:
    """Write tasks of the size of a typical benchmark's."""
    rng = random.Random(0)  # noqa: S311 - test data
    for number in range(N_TASKS):
        task = folder / f"task{number}"
        task.mkdir(parents=True)
        (task / "card.toml").write_text(
            f'name = "task{number}"\nkind = "single"\ndomain = "d{number % 3}"\n'
            'data_class = "open"\nlabels = ["no", "yes"]\nmetrics = ["accuracy"]\n'
        )
        for split, n in ROWS.items():
            rows = (
                {"text": " ".join(rng.choices(WORDS, k=12)), "label": rng.choice(["no", "yes"])}
                for _ in range(n)
            )
            (task / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def main() -> None:
    """Fill a store, then time cached runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tasks(folder / "tasks")
        command = [
            *(sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(folder / "tasks")),
            *(o for number in range(N_TASKS) for o in ("--task", f"task{number}")),
            *(o for grouping in GROUPINGS for o in ("--grouping", grouping)),
            *("--runner", "encoder:model=tiny,steps=2"),
            *("--seed", "0", "--seed", "1", "--seed", "2"),
            *("--store", str(folder / "store"), "--quiet", "--json"),
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(f"first run: {time.perf_counter() - started:.1f} s")
        for _ in range(repeat):
            before = os.times()
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            after = os.times()
            wall = time.perf_counter() - started
            cpu = after.children_user + after.children_system
            cpu -= before.children_user + before.children_system
            print(f"cached run: {wall:.2f} s wall, {cpu:.2f} s CPU")
        timed = subprocess.run(
            [sys.executable, "-X", "importtime", *command[1:]],
            check=True,
            capture_output=True,
            text=True,
        )
        heavy = [
            n for n in ("torch", "transformers", "scipy", "sklearn") if f" {n}\n" in timed.stderr
        ]
        print(f"heavy imports: {heavy or 'none'}")


if __name__ == "__main__":
    main()
