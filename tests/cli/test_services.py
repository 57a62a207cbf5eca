"""Runners whose fits talk to a server: it is started once, watched, and stopped."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sites import FIXTURE_PLUGIN, Site, write_tasks

if TYPE_CHECKING:
    import subprocess


class Desk:
    """Two tasks, a store and a diary of what was started and stopped."""

    def __init__(self, root: Path) -> None:
        self.site = Site(root, [FIXTURE_PLUGIN])
        self.site.install("groupbench-fixture", module="groupbench_fixture.hooks")
        self.tasks = write_tasks(root / "tasks", ["alpha", "beta", "gamma"])
        self.diary = root / "diary"
        self.diary.touch()

    def run(self, *runners: str, **options: str) -> subprocess.CompletedProcess[str]:
        """Run all tasks with these settings of `served`."""
        specs = [f"served:diary={self.diary}" + (f",{r}" if r else "") for r in runners]
        arguments = [x for spec in specs for x in ("--runner", spec)]
        arguments += [x for name in ("alpha", "beta", "gamma") for x in ("--task", name)]
        arguments += [x for name, value in options.items() for x in (f"--{name}", value)]
        return self.site.groupbench(
            *("run", "--tasks-dir", self.tasks, "--executor", "local:workers=2", "--quiet"),
            *("--json", *arguments),
        )

    def events(self, what: str) -> list[list[Any]]:
        """Return the diary's lines of one kind."""
        lines = [json.loads(line) for line in self.diary.read_text().splitlines()]
        return [line for line in lines if line[0] == what]

    def nothing_lives(self) -> bool:
        """Return whether all that was started is gone."""
        return not any(Path(f"/proc/{pid}").exists() for _, _, pid in self.events("start"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def statuses(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [entry["status"] for entry in json.loads(done.stdout)["entries"]]


def test_one_server_serves_all_fits_and_a_cached_run_starts_none(desk: Desk) -> None:
    done = desk.run("")
    assert done.returncode == 0, done.stderr
    assert statuses(done) == ["ok"]
    assert len(desk.events("fit")) == 3
    assert len(desk.events("start")) == len(desk.events("stop")) == 1
    assert desk.nothing_lives()
    again = desk.run("")
    assert again.returncode == 0
    assert len(desk.events("start")) == 1


def test_fits_of_one_lane_follow_each_other(desk: Desk) -> None:
    desk.run("seconds=0.3")
    fits = sorted((began, ended) for _, began, ended in desk.events("fit"))
    assert all(one[1] <= two[0] for one, two in pairwise(fits))


def test_a_server_that_dies_is_started_again(desk: Desk) -> None:
    done = desk.run("lives=2")
    assert done.returncode == 0, done.stderr
    assert len(desk.events("fit")) == 3
    assert len(desk.events("start")) == 2
    assert desk.nothing_lives()


def test_a_server_that_keeps_dying_fails_its_cells_with_the_reason(desk: Desk) -> None:
    done = desk.run("lives=0", "number=1")
    assert done.returncode == 3
    assert sorted(statuses(done)) == ["failed", "ok"]
    assert "died 3 times" in done.stdout
    assert desk.nothing_lives()


def test_a_server_that_does_not_start_fails_its_cells_with_the_reason(desk: Desk) -> None:
    done = desk.run("lives=-1", "number=1")
    assert done.returncode == 3
    assert "did not start: it was told not to." in done.stdout
    assert sorted(statuses(done)) == ["failed", "ok"]


def test_two_servers_that_hold_a_gpu_are_never_there_together(desk: Desk) -> None:
    done = desk.run("gpus=1,number=1", "gpus=1,number=2")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in desk.diary.read_text().splitlines()]
    order = [(what, key) for what, key, *_ in lines if what != "fit"]
    assert [what for what, _ in order] == ["start", "stop", "start", "stop"]
    assert order[0][1] == order[1][1] != order[2][1] == order[3][1]


def test_a_fit_that_would_pass_the_limit_of_dollars_stops_the_run(
    desk: Desk, tmp_path: Path
) -> None:
    experiment = tmp_path / "experiment.toml"
    experiment.write_text("[limits]\nmax_usd = 2.5\n")
    done = desk.site.groupbench(
        *("run", experiment, "--tasks-dir", desk.tasks, "--runner", "served:price=1.0"),
        *("--task", "alpha", "--task", "beta", "--task", "gamma", "--quiet"),
    )
    assert done.returncode == 6, done.stderr
    assert "max_usd would be passed" in done.stderr
    assert len(list((tmp_path / ".groupbench" / "fits").rglob("result.json"))) == 2


def test_fits_of_two_providers_do_not_spend_the_same_dollars(desk: Desk, tmp_path: Path) -> None:
    experiment = tmp_path / "experiment.toml"
    experiment.write_text("[limits]\nmax_usd = 2.5\n")
    served = f"served:diary={desk.diary},seconds=0.3,price=1.0,number="
    done = desk.site.groupbench(
        *("run", experiment, "--tasks-dir", desk.tasks, "--runner", f"{served}1"),
        *("--runner", f"{served}2", "--task", "alpha", "--task", "beta", "--quiet"),
        *("--executor", "local:workers=4"),
    )
    assert done.returncode == 6, done.stderr
    fits = sorted((began, ended) for _, began, ended in desk.events("fit"))
    assert len(fits) == 2
    assert fits[0][1] <= fits[1][0]


def test_a_runner_that_does_not_train_predicts_only_what_is_asked_for(desk: Desk) -> None:
    def splits() -> set[str]:
        files = (desk.site.folder / ".groupbench" / "fits").rglob("*.parquet")
        return {file.name.split(".")[1] for file in files}

    desk.run("")
    assert splits() == {"test"}
    asked = ("--tasks-dir", desk.tasks, "--task", "alpha", "--runner", f"served:diary={desk.diary}")
    done = desk.site.groupbench("pvi", *asked, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tasks"][0]["n"] == 12
    assert splits() == {"test", "dev-a", "dev-b"}
    assert len(desk.events("fit")) == 4
