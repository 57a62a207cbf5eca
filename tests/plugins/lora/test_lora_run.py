"""lora through the command line: groups as rows of a leaderboard, and what a user is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sites import write_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site

BRIEF = "epochs=1,batch_size=8,lr=0.002"


def test_groups_are_rows_of_the_leaderboard_and_are_trained_once(
    site: Site, tmp_path: Path, llama: str
) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=16)
    arguments = [
        *("run", "--tasks-dir", cards, "--task", "alpha", "--task", "beta"),
        *("--grouping", "single", "--grouping", "all", "--runner", f"lora:model={llama},{BRIEF}"),
        *("--runner", "lora", "--store", tmp_path / "store"),
    ]
    planned = site.groupbench(*arguments, "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    plan: Any = json.loads(planned.stdout)
    assert plan["fits"]["distinct"] == 3
    assert plan["example_steps"] == 64  # 16 rows of each task: two alone, and both together

    first = site.groupbench(*arguments, "--json", timeout=300)
    assert first.returncode == 0, first.stderr
    entries = json.loads(first.stdout)["entries"]
    done = {entry["grouping"]: entry for entry in entries if entry["status"] == "ok"}
    assert set(done) == {"single", "all"}
    assert (done["single"]["n_models"], done["all"]["n_models"]) == (2, 1)
    assert all(0 <= entry["average"] <= 1 for entry in done.values())
    skipped = [entry for entry in entries if entry["status"] == "skipped"]
    assert all("model is empty" in entry["reason"] for entry in skipped)

    again = site.groupbench(*arguments, "--json")
    assert json.loads(again.stdout)["entries"] == entries


def test_pvi_decides_groups_on_it(site: Site, tmp_path: Path, llama: str) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=16)
    done = site.groupbench(
        *("group", "--tasks-dir", cards, "--task", "alpha", "--task", "beta", "--grouping", "pvi"),
        *("--runner", f"lora:model={llama},{BRIEF}", "--store", tmp_path / "store", "--json"),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    trains = sorted(name for group in document["groups"] for name in group["trains"])
    assert trains == ["alpha", "beta"]


def test_a_prompt_is_shown_as_it_is_trained_on(site: Site, tmp_path: Path, llama: str) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha"], n=8)
    shown = site.groupbench(
        *("prompt", "alpha", "--tasks-dir", cards, "--runner", f"lora:model={llama}", "--json")
    )
    assert shown.returncode == 0, shown.stderr
    assert "Answer with one of: no, yes." in json.loads(shown.stdout)["questions"][0]["text"]


def test_a_refused_setting_is_one_sentence_and_exit_code_2(site: Site, tmp_path: Path) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha"], n=8)
    refused = site.groupbench(
        *("run", "--tasks-dir", cards, "--task", "alpha", "--grouping", "single"),
        *("--runner", "lora:model=x,use_dora=true", "--store", tmp_path / "store"),
    )
    assert refused.returncode == 2
    assert "use_dora = true: vLLM serves no DoRA" in refused.stderr
    assert "Traceback" not in refused.stderr
