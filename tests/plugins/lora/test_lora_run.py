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


HEAVY = ("torch", "transformers", "peft", "openai")


def test_what_is_stored_imports_nothing_heavy(site: Site, tmp_path: Path, llama: str) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=8)

    def run(seed: int) -> Any:
        return site.groupbench(
            *("run", "--tasks-dir", cards, "--task", "alpha", "--task", "beta", "--seed", seed),
            *("--grouping", "all", "--grouping", "pvi", "--json", "--store", tmp_path / "store"),
            *("--runner", f"lora:model={llama},{BRIEF}"),
            timeout=300,
        )

    first = run(0)
    assert first.returncode == 0, first.stderr
    for name in HEAVY:  # found before the real one; whoever imports it is told off
        (site.folder / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')\n")
    again = run(0)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["entries"] == json.loads(first.stdout)["entries"]
    other = run(1)
    assert other.returncode != 0
    assert "was imported" in other.stdout + other.stderr


def test_entities_that_are_written_make_pvi_a_skipped_row(
    site: Site, tmp_path: Path, llama: str
) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha"], n=4)
    folder = cards / "names"
    folder.mkdir()
    (folder / "card.toml").write_text(
        'name = "names"\nkind = "token"\ndomain = "made"\ndata_class = "open"\n'
        'labels = ["O", "B-x", "I-x"]\nmetrics = ["seqeval_f1"]\n'
    )
    row = json.dumps({"tokens": ["the", "drug"], "tags": ["O", "B-x"]}) + "\n"
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text(row * 4)
    common = [
        *("--tasks-dir", cards, "--task", "alpha", "--task", "names", "--store", tmp_path / "s"),
        *("--runner", f"lora:model={llama},{BRIEF},max_output=4", "--json"),
    ]
    chosen = ("--grouping", "single", "--grouping", "pvi")
    done = site.groupbench("run", *common, *chosen, timeout=300)
    assert done.returncode == 0, done.stderr
    entries = {entry["grouping"]: entry for entry in json.loads(done.stdout)["entries"]}
    assert entries["single"]["status"] == "ok"
    assert entries["pvi"]["status"] == "skipped"
    assert "gives no probabilities of labels (task names)" in entries["pvi"]["reason"]
    planned = json.loads(site.groupbench("run", *common, *chosen, "--dry-run").stdout)
    assert [row["grouping"] for row in planned["skipped"]] == ["pvi"]
    asked = site.groupbench("group", *common, "--grouping", "pvi")
    assert asked.returncode == 2
    assert "task names" in asked.stderr


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
