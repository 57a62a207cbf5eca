"""Wheels of groupbench and of an outside plugin, installed in a fresh environment, at work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OUTSIDE = ROOT / "tests" / "outside_plugin"
TASKS = ("pets", "plants", "weather")


@dataclass(frozen=True)
class Environment:
    """A fresh environment that borrows this one's dependencies, and nothing of groupbench."""

    folder: Path
    home: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, far from the source tree."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GROUPBENCH", "PYTHON", "VIRTUAL_ENV"))
        }
        environment |= {
            "GROUPBENCH_CACHE": str(self.home / "cache"),
            "PYTHONPATH": str(ROOT / "tests" / "no_network"),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [str(self.folder / "bin" / str(command[0])), *map(str, command[1:])],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def json(self, *command: object) -> Any:
        process = self.run("groupbench", *command, "--json")
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)


def build(source: Path, wheels: Path) -> Path:
    """Build the wheel of a source tree, as ``pip wheel`` would, without the network."""
    before = set(wheels.glob("*.whl"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = set(wheels.glob("*.whl")) - before
    return wheel


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheels")
    return {"groupbench": build(ROOT, folder), "outside": build(OUTSIDE, folder)}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    home = tmp_path_factory.mktemp("fresh")
    fresh = Environment(home / "venv", home)
    venv.create(fresh.folder, with_pip=False)
    (site_packages,) = fresh.folder.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(fresh.python), "install", "--quiet"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--no-cache-dir", *map(str, wheels.values())],
        check=True,
        timeout=120,
    )
    # Dependencies are borrowed. Only the folder: the .pth files in it, which lead to editable
    # installs, are not read, and what the wheels installed is found first.
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return fresh


def test_the_wheel_holds_every_plugin_and_its_data(wheels: dict[str, Path]) -> None:
    names = set(zipfile.ZipFile(wheels["groupbench"]).namelist())
    for source in ("harness", "plugins", "tasks"):
        for path in (ROOT / source).rglob("*"):
            hidden = "__pycache__" in path.parts or any(p.startswith(".") for p in path.parts[-3:])
            if path.is_file() and not hidden and path.suffix != ".pyc":
                assert path.relative_to(ROOT / source).as_posix() in names
    assert not {name for name in names if name.startswith(("tests/", "leaderboards/"))}


def test_the_wheel_is_what_runs_and_nothing_in_it_is_broken(installed: Environment) -> None:
    code = (
        "import groupbench, groupbench_tasks; print(groupbench.__file__, groupbench_tasks.__file__)"
    )
    for place in installed.run("python", "-c", code).stdout.split():
        assert Path(place).is_relative_to(installed.folder)
    process = installed.run("groupbench", "--strict-plugins", "plugins", "list", "--json")
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    plugins = {row["name"]: row for row in json.loads(process.stdout)["plugins"]}
    assert plugins["outside"]["distribution"] == "groupbench-outside"
    assert plugins["outside"]["offers"] == {
        "tasks": list(TASKS),
        "groupings": ["centroids"],
        "runners": ["averaged"],
    }
    assert len(plugins) > 5


def test_an_outside_task_strategy_probe_and_runner_work_in_a_run(installed: Environment) -> None:
    arguments = [
        *(part for task in TASKS for part in ("--task", task)),
        *("--grouping", "single", "--grouping", "centroids"),
        *("--runner", "averaged", "--seed", "0", "--seed", "1"),
        *("--store", "store"),
    ]
    board = installed.json("run", *arguments)
    assert board["schema"] == "groupbench/leaderboard/1"
    assert board["tasks"] == list(TASKS)
    entries = {entry["grouping"]: entry for entry in board["entries"]}
    assert set(entries) == {"single", "centroids"}
    for entry in entries.values():
        assert entry["status"] == "ok", entry["reason"]
        assert entry["seeds"] == [0, 1]
        assert set(entry["scores"]) == set(TASKS)
        assert entry["scores"]["weather"]["n_test"] == 40
        assert entry["average"] > 0.8  # the tasks are easy; guessing gets 0.5
    assert entries["centroids"]["n_models"] == 2
    assert entries["single"]["n_models"] == 3
    assert entries["centroids"]["deciding"]["fits"] == 2  # one fit of everything for each seed

    grouping = installed.json("group", *arguments)[1]
    assert grouping["grouping"] == "centroids"
    assert [group["trains"] for group in grouping["groups"]] == [["pets", "plants"], ["weather"]]
    matrix = grouping["evidence"]["affinity"]["matrix"]
    assert matrix[0][1] == matrix[1][0] > matrix[0][2]
    assert [matrix[i][i] for i in range(3)] == [None] * 3

    again = installed.run("groupbench", "run", *arguments, "--json")
    assert "0 fits to compute" in again.stderr or "to compute" not in again.stderr
    assert json.loads(again.stdout)["entries"][0]["scores"] == board["entries"][0]["scores"]


def test_the_outside_probe_measures_the_encoder_too(installed: Environment) -> None:
    pytest.importorskip("torch")
    grouping = installed.json(
        *("group", *(part for task in TASKS for part in ("--task", task))),
        *("--grouping", "centroids:threshold=-1", "--runner", "encoder:model=tiny,epochs=1"),
        *("--seed", "0", "--store", "store"),
    )
    assert [group["trains"] for group in grouping["groups"]] == [list(TASKS)]
    matrix = grouping["evidence"]["affinity"]["matrix"]
    assert -1 <= matrix[0][1] <= 1
