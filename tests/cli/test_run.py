"""`groupbench run` end to end: exit codes, rows with reasons, caching, and what is said."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from sites import write_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def run(fixture_site: Site, tasks_dir: Path, tmp_path: Path) -> Any:
    """Run an experiment over the three small tasks; return the process."""

    def start(*arguments: object) -> subprocess.CompletedProcess[str]:
        return fixture_site.groupbench(
            "run",
            "--tasks-dir",
            tasks_dir,
            *(option for name in ("alpha", "beta", "gamma") for option in ("--task", name)),
            "--store",
            tmp_path / "store",
            *arguments,
        )

    return start


def board(process: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(process.stdout)
    assert document["schema"] == "groupbench/leaderboard/1"
    return document


def rows(document: dict[str, Any]) -> dict[tuple[str | None, str], dict[str, Any]]:
    return {(e["grouping"], e["runner"].partition(":")[0]): e for e in document["entries"]}


def test_every_combination_is_a_row_and_a_second_run_computes_nothing(
    run: Any, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    arguments = [
        *("--grouping", "single", "--grouping", "all", "--grouping", "halves"),
        *("--runner", f"counting:log={log}", "--runner", "majority"),
        *("--seed", 0, "--seed", 1, "--json"),
    ]
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    entries = rows(board(first))
    assert set(entries) == {
        ("single", "counting"),
        ("all", "counting"),
        ("halves", "counting"),
        (None, "majority"),
    }
    assert entries["single", "counting"]["seeds"] == [0, 1]
    assert entries["all", "counting"]["n_models"] == 1
    assert entries["halves", "counting"]["deciding"]["fits"] == 6
    assert entries["single", "counting"]["scores"]["alpha"]["n_test"] == 24
    # single: 3 tasks x 2 seeds; all: 2; halves: one group of two, one of one that single shares.
    assert len(log.read_text().splitlines()) == 6 + 2 + 2
    second = run(*arguments)
    assert second.returncode == 0
    assert len(log.read_text().splitlines()) == 10
    assert board(second) == board(first)


def test_failed_and_skipped_cells_are_rows_with_their_reason(run: Any) -> None:
    process = run(
        *("--grouping", "single", "--grouping", "all", "--grouping", "raising"),
        *("--runner", "counting:fails_on=beta", "--runner", "absent", "--json"),
    )
    assert process.returncode == 3, process.stderr
    entries = rows(board(process))
    assert entries["all", "counting"]["status"] == "failed"
    assert "told to fail" in entries["all", "counting"]["reason"]
    assert "second line" not in entries["all", "counting"]["reason"]
    assert entries["raising", "counting"]["status"] == "failed"
    assert "a plugin may raise anything" in entries["raising", "counting"]["reason"]
    assert entries["single", "absent"]["status"] == "skipped"
    assert "pip install" in entries["single", "absent"]["reason"]
    assert entries["all", "counting"]["rank"] is None
    assert "Traceback" not in process.stderr


def test_skipped_cells_beside_done_ones_are_exit_code_0(run: Any) -> None:
    process = run("--grouping", "single", "--runner", "counting", "--runner", "absent", "--json")
    assert process.returncode == 0, process.stderr


def test_everything_skipped_is_exit_code_5(run: Any) -> None:
    process = run("--grouping", "single", "--runner", "absent", "--json")
    assert process.returncode == 5
    assert rows(board(process))["single", "absent"]["status"] == "skipped"


@pytest.mark.parametrize("at", ["suite", "fits"])
def test_a_strategy_that_reaches_for_test_fails_by_name(run: Any, at: str) -> None:
    process = run("--grouping", f"peeking:at={at}", "--runner", "counting", "--json")
    assert process.returncode == 3
    (entry,) = board(process)["entries"]
    assert "dev-B" in entry["reason"]


def test_private_tasks_are_refused_before_anything_is_sent(
    fixture_site: Site, tmp_path: Path
) -> None:
    private = write_tasks(tmp_path / "private", ["notes"], data_class="private")
    log = tmp_path / "log"
    common = ["run", "--tasks-dir", private, "--task", "notes", "--store", tmp_path / "s", "--json"]
    alone = fixture_site.groupbench(*common, "--runner", f"cloud:log={log}")
    assert alone.returncode == 6, alone.stderr
    entry = json.loads(alone.stdout)["entries"][0]
    assert entry["status"] == "refused"
    assert "notes (private)" in entry["reason"]
    beside = fixture_site.groupbench(
        *common, "--runner", f"cloud:log={log}", "--runner", "majority"
    )
    assert beside.returncode == 0
    assert not log.exists()


def test_a_named_pair_is_allowed(fixture_site: Site, tmp_path: Path) -> None:
    private = write_tasks(tmp_path / "private", ["notes"], data_class="private")
    file = tmp_path / "experiment.toml"
    file.write_text(
        'tasks = ["notes"]\ntasks_dirs = ["private"]\n[[runner]]\nname = "cloud"\n'
        '[[allow]]\ntask = "notes"\nrunner = "cloud"\nreason = "contract"\n'
    )
    assert private.exists()
    process = fixture_site.groupbench("run", file, "--store", tmp_path / "s", "--json")
    assert process.returncode == 0, process.stderr


def test_a_limit_that_is_reached_is_exit_code_6_even_with_failures(run: Any) -> None:
    process = run(
        *("--grouping", "single", "--runner", "counting:fails_on=beta,seconds=0.2"),
        *("--seed", 0, "--seed", 1, "--seed", 2, "--max-hours", "0.00004"),
        *("--executor", "local:workers=1", "--json"),
    )
    assert process.returncode == 6, process.stderr
    assert "max_hours" in process.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grouping", "singel"], ["grouping", "'singel'", "'single'"]),
        (["--runner", "countin"], ["runner", "'countin'", "'counting'"]),
        (["--runner", "counting:skil=1"], ["counting", "'skil'", "'skill'"]),
        (["--runner", "counting:skill=high"], ["counting", "skill"]),
        (["--executor", "lokal"], ["executor", "'local'"]),
        (["--seed", "-1"], ["seed"]),
        (["--grouping", "single", "--grouping", "single"], ["single", "twice"]),
        (["absent.toml"], ["absent.toml", "cannot be read"]),
        (["--suite", "calibration"], ["suite", "tasks"]),
        (["--max-train", "1"], ["caps.train", "at least 2"]),
    ],
)
def test_wrong_usage_is_one_message_and_exit_code_2(
    run: Any, arguments: list[str], words: list[str]
) -> None:
    process = run(*arguments, "--json")
    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    for word in words:
        assert word in process.stderr


def test_an_unknown_task_suggests_the_nearest(fixture_site: Site, tasks_dir: Path) -> None:
    process = fixture_site.groupbench("run", "--tasks-dir", tasks_dir, "--task", "alpah")
    assert process.returncode == 2
    assert "alpha" in process.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_is_said_first(run: Any, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(stat.S_IRUSR | stat.S_IXUSR)
    log = tmp_path / "log"
    process = run("--grouping", "single", "--runner", f"counting:log={log}")
    assert process.returncode == 2
    assert not log.exists()


def test_a_store_that_is_a_file_is_said_first(run: Any, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    log = tmp_path / "log"
    process = run("--grouping", "single", "--runner", f"counting:log={log}")
    assert process.returncode == 2
    assert str(tmp_path / "store") in process.stderr
    assert "Traceback" not in process.stderr
    assert not log.exists()


def test_a_fit_that_dies_once_is_tried_again(run: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = run(
        *("--grouping", "single", "--runner", f"counting:log={log},fails_on=beta,manner=once"),
        "--json",
    )
    assert process.returncode == 0, process.stderr
    assert "tried again" in process.stderr
    assert log.read_text().count("beta 0") == 2


def test_a_fit_that_always_dies_fails_by_signal(run: Any) -> None:
    process = run("--grouping", "single", "--runner", "counting:fails_on=beta,manner=die", "--json")
    assert process.returncode == 3
    reason = rows(board(process))["single", "counting"]["reason"]
    assert "signal 9" in reason


def test_a_fit_that_diverges_is_tried_with_other_seeds(run: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = run(
        *("--grouping", "single", "--runner", f"counting:log={log},fails_on=beta,manner=diverge"),
        "--json",
    )
    assert process.returncode == 3
    seeds = {line.split()[1] for line in log.read_text().splitlines() if line.startswith("beta")}
    assert len(seeds) == 3


def test_a_fit_over_its_time_limit_is_killed_and_said_so(run: Any) -> None:
    process = run(
        *("--grouping", "single", "--runner", "counting:seconds=30", "--fit-minutes", "0.01"),
        "--json",
    )
    assert process.returncode == 3
    reason = rows(board(process))["single", "counting"]["reason"]
    assert reason.startswith("3 tasks: alpha, beta, gamma: killed after")


def test_an_interrupt_is_130_and_what_was_finished_stays(
    fixture_site: Site, tasks_dir: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(tasks_dir)),
            *("--task", "alpha", "--task", "beta", "--grouping", "single"),
            *("--runner", f"counting:log={log},seconds=0.3", "--store", str(tmp_path / "store")),
            *("--executor", "local:workers=1", "--seed", "0", "--seed", "1", "--seed", "2"),
        ],
        env=fixture_site.environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if log.exists() and len(log.read_text().splitlines()) >= 3:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    stored = list((tmp_path / "store" / "fits").glob("*/*/record.json"))
    assert 2 <= len(stored) < 6


def test_a_dry_run_counts_and_computes_nothing(run: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = [
        *("--grouping", "single", "--grouping", "halves", "--runner", f"counting:log={log}"),
        *("--seed", 0, "--seed", 1),
    ]
    process = run(*arguments, "--dry-run", "--json")
    assert process.returncode == 0, process.stderr
    plan = json.loads(process.stdout)
    assert plan["schema"] == "groupbench/plan/1"
    assert plan["fits"] == {"distinct": 6, "naive": 12, "cached": 0}
    assert plan["undecided"] == [f"halves/counting:log={log}"] or plan["undecided"]
    assert not log.exists()
    assert run(*arguments, "--json").returncode == 0
    again = json.loads(run(*arguments, "--dry-run", "--json").stdout)
    assert again["fits"]["cached"] == again["fits"]["distinct"] > 6
    assert again["undecided"] == []
    readable = run(*arguments, "--dry-run")
    assert "Fits to compute: 0" in readable.stdout


def test_explain_names_the_part_that_changed(
    run: Any, fixture_site: Site, tasks_dir: Path, tmp_path: Path
) -> None:
    assert run("--grouping", "single", "--runner", "counting", "--json").returncode == 0
    rows_file = tasks_dir / "alpha" / "train.jsonl"
    rows_file.write_text(rows_file.read_text().replace("item 0", "item zero"))
    tasks = [option for name in ("alpha", "beta", "gamma") for option in ("--task", name)]
    common = ["--tasks-dir", tasks_dir, *tasks, "--store", tmp_path / "store"]
    common += ["--grouping", "single", "--runner", "counting"]
    process = fixture_site.groupbench("explain", "single/counting/0", *common, "--json")
    assert process.returncode == 0, process.stderr
    fits = {fit["serves"][0]: fit for fit in json.loads(process.stdout)["fits"]}
    assert fits["beta"]["stored"]
    assert not fits["alpha"]["stored"]
    assert [line.partition(":")[0] for line in fits["alpha"]["changed"]] == ["tasks.alpha"]
    readable = fixture_site.groupbench("explain", fits["alpha"]["key"][:12], *common)
    assert "must be computed" in readable.stdout
    wrong = fixture_site.groupbench("explain", "single/counting/7", *common)
    assert wrong.returncode == 2
    assert "single/counting/0" in wrong.stderr


def test_group_shows_the_evidence_and_trains_nothing_more(
    fixture_site: Site, tasks_dir: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = fixture_site.groupbench(
        *("group", "--tasks-dir", tasks_dir, "--task", "alpha", "--task", "beta"),
        *("--grouping", "halves", "--runner", f"counting:log={log}", "--json"),
        *("--store", tmp_path / "store"),
    )
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert document["schema"] == "groupbench/grouping/1"
    assert sorted(t for g in document["groups"] for t in g["serves"]) == ["alpha", "beta"]
    assert set(document["evidence"]["right"]) == {"alpha", "beta"}
    assert len(log.read_text().splitlines()) == 2


def test_a_stored_board_is_shown_again(run: Any, fixture_site: Site, tmp_path: Path) -> None:
    first = run("--grouping", "single", "--runner", "counting", "--json")
    shown = fixture_site.groupbench("leaderboard", "show", tmp_path / "store", "--json")
    assert shown.returncode == 0, shown.stderr
    assert board(shown) == board(first)
    table = fixture_site.groupbench("leaderboard", "show", tmp_path / "store")
    assert "single" in table.stdout
    nothing = fixture_site.groupbench("leaderboard", "show", tmp_path / "nowhere")
    assert nothing.returncode == 2


def test_the_message_of_a_bug_is_exit_code_1(
    fixture_site: Site, tasks_dir: Path, tmp_path: Path
) -> None:
    driver = (
        "import groupbench.run as r, groupbench.cli as c, sys\n"
        "def broken(*a, **k): raise ZeroDivisionError('planted')\n"
        "r.exit_code = broken\n"
        "c.main()\n"
    )
    arguments = [
        *("run", "--tasks-dir", str(tasks_dir), "--task", "alpha", "--runner", "majority"),
        *("--store", str(tmp_path / "store")),
    ]
    process = subprocess.run(
        [sys.executable, "-c", driver, *arguments],
        env=fixture_site.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "planted" in process.stderr
    assert "Traceback" not in process.stderr
