"""`groupbench plugins new`: what it writes installs, passes its own tests, and works in a run."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site


def pip_install(site: Site, source: Path) -> None:
    """Install a source tree into the site as pip does, without the network."""
    pytest.importorskip("hatchling")
    command = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", *command, "--target", str(site.folder), str(source)],
        check=True,
        timeout=120,
        capture_output=True,
    )


def test_a_new_plugin_installs_passes_its_tests_and_works_in_a_run(
    site: Site, tmp_path: Path
) -> None:
    written = site.groupbench("plugins", "new", "my-own", "--out", tmp_path / "work")
    assert written.returncode == 0, written.stderr
    home = tmp_path / "work" / "my-own"
    assert f"pip install -e {home}" in written.stdout
    assert "no licence yet" in written.stdout
    assert not any(path.name.upper().startswith("LICEN") for path in home.iterdir())
    pip_install(site, home)

    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(home)],
        env=site.environment(),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout
    for kind in ("tasks", "groupings", "runners"):
        listed = json.loads(site.groupbench(kind, "list", "--json").stdout)[kind]
        (row,) = [row for row in listed if row["name"] == "my-own"]
        assert row["distribution"] == "my-own"
    checked = site.groupbench("plugins", "check", "my-own", "--json")
    assert checked.returncode == 0, checked.stderr
    statuses = [check["status"] for check in json.loads(checked.stdout)["checks"]]
    assert len(statuses) > 20
    assert set(statuses) == {"pass"}

    # f0_cue is generated and shares no text with it: the strategy has something to group.
    run = site.groupbench(
        *("run", "--task", "my-own", "--task", "f0_cue", "--max-train", 40, "--seed", 0),
        *("--grouping", "single", "--grouping", "my-own:gap=0.5", "--runner", "my-own", "--json"),
    )
    assert run.returncode == 0, run.stderr
    entries = {entry["grouping"]: entry for entry in json.loads(run.stdout)["entries"]}
    assert entries["my-own:gap=0.5"]["status"] == "ok"
    assert entries["my-own:gap=0.5"]["n_models"] == 1
    assert entries["single"]["n_models"] == 2
    wrong = site.groupbench("run", "--task", "my-own", "--grouping", "my-own:gap=7")
    assert wrong.returncode == 2
    assert "gap = 7.0 must be from 0 to 1" in wrong.stderr


@pytest.mark.parametrize("offer", ["task", "strategy", "runner"])
def test_a_plugin_may_offer_one_thing_alone(offer: str, site: Site, tmp_path: Path) -> None:
    site.groupbench("plugins", "new", "lone", "--offers", offer, "--out", tmp_path)
    home = tmp_path / "lone"
    site.paths.append(home)
    info = tomllib.loads((home / "pyproject.toml").read_text())["project"]
    assert info["description"] == f"A plugin of groupbench: a {offer}."
    assert [path.name for path in (home / "tests").iterdir()] == [f"test_{offer}.py"]
    for path in home.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "@" not in text.replace("@hookimpl", "").replace("@dataclass", "").replace(
                "@parametrize_with_checks", ""
            )
            assert "#: " not in text
    site.install("lone", module="lone.hooks")

    checked = site.groupbench("plugins", "check", "lone", "--json")

    assert checked.returncode == 0, checked.stderr
    kinds = {check["kind"] for check in json.loads(checked.stdout)["checks"]}
    assert kinds == {"plugins", {"strategy": "groupings"}.get(offer, f"{offer}s")}


def test_a_folder_that_is_there_is_never_overwritten(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("precious")
    process = site.groupbench("plugins", "new", "mine", "--out", tmp_path)
    assert process.returncode == 2
    assert f"{tmp_path}/mine is there already" in process.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Plugin", "try 'my-plugin'"),
        ("../evil", "try 'evil'"),
        ("9lives", "try 'lives'"),
        ("a--b", "try 'a-b'"),
        ("x" * 41, "at most 40"),
        ("class", "a word of Python's"),
        ("json", "the Python package json"),
        ("groupbench", "the Python package groupbench"),
        ("pvi", "There is a plugin 'pvi' already"),
        ("single", "There is a grouping 'single' already"),
    ],
)
def test_a_name_that_something_would_stumble_over_is_refused(
    name: str, message: str, site: Site, tmp_path: Path
) -> None:
    process = site.groupbench("plugins", "new", name, "--out", tmp_path / "out")
    assert process.returncode == 2
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_written_is_typed_and_in_good_style(site: Site, tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    pytest.importorskip("mypy")
    site.groupbench("plugins", "new", "styled", "--out", tmp_path)
    home = tmp_path / "styled"
    lint = ["E", "F", "I", "ANN", "B", "ARG", "PLR", "PLW", "UP", "TC", "RUF"]
    for command in (
        ["ruff", "check", "--no-cache", "--select", ",".join(lint), "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), "styled", "tests"],
    ):
        process = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
