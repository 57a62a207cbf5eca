"""hf-lm through the command line: a leaderboard, and a second run that computes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from sites import write_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site


def test_two_tasks_end_in_a_row_and_a_second_run_imports_nothing_heavy(
    site: Site, tmp_path: Path, llamas: dict[str, Path]
) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=6)
    arguments = [
        *("run", "--tasks-dir", cards, "--task", "alpha", "--task", "beta", "--grouping", "single"),
        *("--runner", f"hf-lm:model={llamas['llama3']},shots=2", "--runner", "hf-lm"),
        *("--store", tmp_path / "store", "--json"),
    ]
    first = site.groupbench(*arguments)
    assert first.returncode == 0, first.stderr
    board: Any = json.loads(first.stdout)
    entries = {entry["runner"]: entry for entry in board["entries"]}
    done = entries.pop(f"hf-lm:model={llamas['llama3']},shots=2")
    assert done["status"] == "ok"
    assert done["grouping"] is None
    assert 0 <= done["average"] <= 1
    (skipped,) = entries.values()
    assert skipped["status"] == "skipped"
    assert "name a folder or a hub id" in skipped["reason"]

    again = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "groupbench", *map(str, arguments)],
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=site.folder,
    )
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["entries"] == board["entries"]
    lines = [line for line in again.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "groupbench_hf_lm" in imported
    assert not imported & {"torch", "transformers", "tokenizers", "openai"}


def test_a_changed_wording_is_computed_anew_and_explained(
    site: Site, tmp_path: Path, llamas: dict[str, Path]
) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha"], n=6)
    runner = f"hf-lm:model={llamas['llama2']}"
    common = (
        "--tasks-dir",
        cards,
        "--task",
        "alpha",
        "--runner",
        runner,
        "--store",
        tmp_path / "s",
    )
    assert site.groupbench("run", *common, "--json").returncode == 0
    card = cards / "alpha" / "card.toml"
    text = card.read_text(encoding="utf-8")
    card.write_text(f'{text}[prompt]\ninstruction = "Is it so?"\n', encoding="utf-8")
    explained = site.groupbench("explain", *common, "--json", "--", f"-/{runner}/0")
    assert explained.returncode == 0, explained.stderr
    (fit,) = json.loads(explained.stdout)["fits"]
    assert fit["stored"] is False
    (changed,) = fit["changed"]
    assert changed.startswith("task_identity.alpha.instruction: ")
    assert changed.endswith("-> Is it so?")
