"""`groupbench ... list` with 50 outside plugins: what is listed, and what that costs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from groupbench.cli.console import console

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site

KINDS = ("tasks", "suites", "groupings", "runners", "metrics", "executors")
HEAVY = {"torch", "transformers", "datasets", "openai", "vllm", "numpy", "scipy", "sklearn"}
PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from groupbench import Grouping, Plan, hookimpl
{extra}

@dataclass(frozen=True)
class Strategy:
    name: ClassVar[str] = "{name}"
    summary: ClassVar[str] = "{summary}"

    def plan(self, suite, workbench):
        return Plan()

    def propose(self, suite, workbench):
        return Grouping.partition([suite.names])

@hookimpl
def groupbench_register_groupings():
    return [Strategy]
"""


def install_dummies(site: Site) -> None:
    """Install 50 plugins: one imports torch at its top, one is broken, one writes odd things."""
    for number in range(48):
        extra = {7: "import torch", 23: "import no_such_module"}.get(number, "")
        site.install(
            f"gb-dummy-{number}",
            module=f"gb_dummy_{number}.hooks",
            source=PLUGIN.format(name=f"dummy-{number}", summary="a dummy", extra=extra),
        )
    install_odd(site)
    site.install("gb-empty", module="gb_empty", source="")


def install_odd(site: Site) -> None:
    """Install a plugin whose summary would clear the screen, if it were let."""
    odd = r"\x1b[2J[/bold] [red]:bomb: \u202e wide"
    site.install("gb-odd", module="gb_odd", source=PLUGIN.format(name="odd", summary=odd, extra=""))


def measured(site: Site, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run the command line under ``-X importtime``; return it and the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "groupbench", *arguments],
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return process, seconds


def modules_of(process: subprocess.CompletedProcess[str]) -> set[str]:
    lines = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def said(process: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what was written to stderr beside import times."""
    return [line for line in process.stderr.splitlines() if not line.startswith("import time:")]


@pytest.fixture
def torch_site(site: Site) -> Site:
    pytest.importorskip("torch")
    install_dummies(site)
    return site


def test_50_plugins_are_listed_without_importing_torch_or_any_of_them(torch_site: Site) -> None:
    first, _ = measured(torch_site, "groupings", "list", "--json")
    assert first.returncode == 0
    document = json.loads(first.stdout)
    assert document["schema"] == "groupbench/groupings/1"
    listed = {row["name"]: row for row in document["groupings"]}
    assert {f"dummy-{number}" for number in range(48)} - set(listed) == {"dummy-23"}
    assert listed["dummy-7"]["plugin"] == "gb-dummy-7"  # the one that imports torch
    assert listed["dummy-7"]["available"] is True
    (broken,) = [line for line in said(first) if "gb-dummy" in line]
    assert broken.startswith("plugin gb-dummy-23 (gb-dummy-23 1.0) is broken: ")
    assert "no_such_module" in broken

    commands = [["--help"], *([kind, "list"] for kind in (*KINDS, "plugins"))]
    seconds = {}
    for command in [["groupings", "list"], *commands]:
        process, seconds[" ".join(command)] = measured(torch_site, *command)
        assert process.returncode == 0, said(process)
        modules = modules_of(process)
        assert "groupbench.cli" in modules
        assert not {module.partition(".")[0] for module in modules} & HEAVY
        assert not {m for m in modules if m.startswith(("gb_", "groupbench_"))}
        assert "subprocess" not in modules  # nothing was indexed again
    # 0.1 to 0.3 s without -X importtime, measured; the bound is for slow and busy machines
    assert min(seconds.values()) < 1.0, seconds
    assert max(seconds.values()) < 3.0, seconds


def test_the_first_listing_ever_imports_no_plugin_either(torch_site: Site, tmp_path: Path) -> None:
    environment = torch_site.environment(GROUPBENCH_CACHE=str(tmp_path / "fresh"))
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "groupbench", "runners", "list", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0
    modules = modules_of(process)
    assert "subprocess" in modules
    assert not {module.partition(".")[0] for module in modules} & HEAVY


def test_what_plugins_write_about_themselves_cannot_break_or_steer_a_terminal(site: Site) -> None:
    install_odd(site)
    process = site.groupbench("groupings", "list", COLUMNS="200", FORCE_COLOR="1")
    assert process.returncode == 0
    assert r"\x1b[2J[/bold] [red]:bomb: \u202e wide" in process.stdout
    assert "\x1b[2J" not in process.stdout
    assert "\u202e" not in process.stdout


def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for variable in ("NO_COLOR", "CI", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)

    def printed(**variables: str) -> str:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            console().print("word", style="red")
        return capsys.readouterr().out

    assert printed() == "word\n"
    assert "\x1b[31m" in printed(FORCE_COLOR="1")
    assert printed(FORCE_COLOR="1", NO_COLOR="1") == "word\n"
    assert printed(FORCE_COLOR="1", CI="true") == "word\n"


def test_names_that_a_terminal_cannot_write_are_escaped(site: Site) -> None:
    site.install(
        "gb-word", module="gb_word", source=PLUGIN.format(name="w", summary="Größe 大", extra="")
    )
    process = site.groupbench("groupings", "list", PYTHONIOENCODING="ascii", COLUMNS="200")
    assert process.returncode == 0
    assert "Gr\\xf6\\xdfe \\u5927" in process.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_says_who_offers_what_and_whether_it_works_here(site: Site, kind: str) -> None:
    process = site.groupbench(kind, "list", "--json")
    document: dict[str, Any] = json.loads(process.stdout)
    assert document["schema"] == f"groupbench/{kind}/1"
    assert document[kind]
    for row in document[kind]:
        assert {"name", "summary", "plugin", "available", "reason"} <= set(row)
        assert row["available"] is (row["reason"] is None)
        assert row["distribution"] == "groupbench"
    table = site.groupbench(kind, "list", COLUMNS="300").stdout
    assert all(row["name"] in table for row in document[kind])


def test_plugins_list_shows_what_each_offers_and_why_it_is_broken(site: Site) -> None:
    site.install("gb-bad", module="gb_bad", source="import no_such_module")
    process = site.groupbench("plugins", "list", "--json")
    listed = {row["name"]: row for row in json.loads(process.stdout)["plugins"]}
    assert listed["gb-bad"]["available"] is False
    assert "No module named 'no_such_module'" in listed["gb-bad"]["reason"]
    assert listed["gb-bad"]["version"] == "1.0"
    assert "accuracy" in listed["metrics"]["offers"]["metrics"]
    assert "plugin gb-bad (gb-bad 1.0) is broken" in process.stderr
    strict = site.groupbench("--strict-plugins", "plugins", "list", "--json")
    assert (strict.returncode, strict.stdout) == (2, "")
    assert "gb-bad" in strict.stderr
    without = site.groupbench("--no-plugin", "gb-bad", "--strict-plugins", "plugins", "list")
    assert (without.returncode, without.stderr) == (0, "")


def test_tasks_of_a_folder_are_listed_beside_the_others(site: Site, tasks_dir: Path) -> None:
    process = site.groupbench("tasks", "list", "--tasks-dir", tasks_dir, "--json")
    listed = {row["name"]: row for row in json.loads(process.stdout)["tasks"]}
    assert listed["alpha"]["kind"] == "single"
    assert listed["alpha"]["domain"] == "made"
    assert listed["alpha"]["planted"] is False
    by_variable = site.groupbench("tasks", "list", "--json", GROUPBENCH_TASKS=str(tasks_dir))
    assert json.loads(by_variable.stdout) == json.loads(process.stdout)
    absent = site.groupbench("tasks", "list", "--tasks-dir", tasks_dir / "absent")
    assert absent.returncode == 2
    assert "absent" in absent.stderr
    assert "Traceback" not in absent.stderr
