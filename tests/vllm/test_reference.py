"""Whole runs of ``vllm`` beside ``hf-lm``, the numerical reference, on the same tiny models."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sites import Site, write_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

N = 100


def run(
    site: Site, tmp_path: Path, served: tuple[Path, Mapping[str, str]], settings: str
) -> dict[str, dict[str, Any]]:
    """Return what both runners predict: by runner and task, a table sorted by example."""
    model, address = served
    attached = f"url={address['url']},key_variable=SERVED_KEY,served_as={model.name}"
    tasks = tmp_path / "cards"
    if not tasks.exists():
        write_tasks(tasks, ["alpha", "beta"], n=N)
    store = tmp_path / "store"
    done = subprocess.run(
        [
            sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(tasks),
            "--task", "alpha", "--task", "beta", "--grouping", "single", "--json",
            "--runner", f"vllm:model={model},{attached},{settings}",
            "--runner", f"hf-lm:model={model},dtype=float32,{settings}",
            "--store", str(store),
        ],
        env=site.environment(
            GROUPBENCH_CACHE=str(tmp_path / "cache"), SERVED_KEY=address["api_key"]
        ),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = {}
    for entry in json.loads(done.stdout)["entries"]:
        assert entry["status"] == "ok", entry
        key, name = entry["key"], entry["runner"].partition(":")[0]
        record = json.loads((store / "entries" / key[:2] / key / "record.json").read_text())
        (cell,) = record["meta"]["cells"]
        found[name] = {
            task: pq.read_table(store / "fits" / fit[:2] / fit / f"{task}.test.parquet").sort_by(
                "id"
            )
            for task, fit in cell["fits"].items()
        }
    return found


@pytest.mark.timeout(1500)
def test_scores_and_texts_are_those_of_the_reference(
    site: Site, tmp_path: Path, served: tuple[Path, Mapping[str, str]]
) -> None:
    for shots in (0, 2):
        scored = run(site, tmp_path, served, f"mode=score,shots={shots}")
        assert set(scored) == {"vllm", "hf-lm"}
        for task in ("alpha", "beta"):
            ours, reference = scored["vllm"][task], scored["hf-lm"][task]
            assert len(ours) == N
            assert ours["id"] == reference["id"]
            log_probs = [np.array(one["log_probs"].to_pylist()) for one in (ours, reference)]
            np.testing.assert_allclose(log_probs[0], log_probs[1], atol=1e-4)
            assert ours["predicted"] == reference["predicted"]

    written = run(site, tmp_path, served, "mode=text")
    same = total = 0
    for task in ("alpha", "beta"):
        ours, reference = written["vllm"][task], written["hf-lm"][task]
        for column in ("predicted", "outcome"):
            pairs = zip(ours[column].to_pylist(), reference[column].to_pylist(), strict=True)
            same += sum(a == b for a, b in pairs)
            total += N
    assert same >= 0.99 * total
