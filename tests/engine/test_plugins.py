"""Plugins: what they offer is known without importing them, and a broken one harms nothing."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from groupbench.errors import CardError, PluginError, SettingError, UnknownNameError
from groupbench.plugins import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from groupbench.plugins.sources import Source

HEAD = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from groupbench import DataClass, Group, Grouping, Kind, Plan, Planted, Split, Suite, Task, hookimpl
"""
STRATEGY = """
@dataclass(frozen=True)
class Strategy:
    name: ClassVar[str] = "{name}"
    summary: ClassVar[str] = "a strategy of a test"
    n_groups: int = 2
    \"\"\"How many groups.\"\"\"

    def plan(self, suite, workbench):
        return Plan()

    def propose(self, suite, workbench):
        return Grouping.partition([suite.names])


@hookimpl
def groupbench_register_groupings():
    return [Strategy]
"""
GOOD = HEAD + STRATEGY.format(name="good")


class Bench:
    """A folder of distributions on this process's import path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, name: str, source: str | None, *, plugin: str | None = None, version: str = "1.0"
    ) -> Path:
        module = f"hooks_of_{name.replace('-', '_')}"
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
        )
        entry = f"[groupbench]\n{plugin or name} = {module}\n"
        (info / "entry_points.txt").write_text(entry, encoding="utf-8")
        path = self.folder / f"{module}.py"
        if source is not None:
            path.write_text(source, encoding="utf-8")
        return path

    def discover(self, *names: str, **options: object) -> Plugins:
        return Plugins.discover(only=names, **options)  # type: ignore[arg-type] # as the test says


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path / "cache"))
    before = set(sys.modules)
    yield Bench(folder)
    for module in {name for name in sys.modules if name.startswith("hooks_of_")} - before:
        del sys.modules[module]


def test_what_is_offered_is_known_without_importing_any_plugin(bench: Bench) -> None:
    bench.install("gb-good", GOOD)
    bench.install("gb-other", HEAD + STRATEGY.format(name="other"))
    plugins = bench.discover("gb-good", "gb-other")
    assert list(plugins.groupings) == ["good", "other"]
    offering = plugins.groupings["good"]
    assert (offering.summary, offering.source.distribution) == ("a strategy of a test", "gb-good")
    assert offering.settings == (
        {"name": "n_groups", "type": "int", "default": 2, "summary": "How many groups."},
    )
    assert "hooks_of_gb_good" not in sys.modules


def test_using_a_name_imports_only_the_plugin_that_offers_it(bench: Bench) -> None:
    bench.install("gb-good", GOOD)
    bench.install("gb-other", HEAD + STRATEGY.format(name="other"))
    strategy = bench.discover("gb-good", "gb-other").grouping("good:n_groups=5")
    assert strategy.name == "good"
    assert vars(strategy) == {"n_groups": 5}
    assert "hooks_of_gb_good" in sys.modules
    assert "hooks_of_gb_other" not in sys.modules


BROKEN = {
    "import error": ("import no_such_module", "ModuleNotFoundError: No module named"),
    "syntax error": ("def", "SyntaxError"),
    "asks to exit": ("raise SystemExit(0)", "importing it raised SystemExit: 0"),
    "kills its process": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "was killed by SIGKILL",
    ),
    "ends its process": ("import os\nos._exit(7)", "exited with status 7"),
    "hangs": ("import time\ntime.sleep(600)", "took longer than"),
    "raising hook": (
        HEAD + "@hookimpl\ndef groupbench_register_runners():\n    raise OSError('no disk')\n",
        "groupbench_register_runners raised OSError: no disk",
    ),
    "misspelt hook": (
        HEAD + "@hookimpl\ndef groupbench_register_runner():\n    return []\n",
        "there is no hook groupbench_register_runner; did you mean groupbench_register_runners?",
    ),
    "unmarked hook": (
        "def groupbench_register_runners():\n    return []\n",
        "groupbench_register_runners is not marked with @hookimpl",
    ),
    "argument too many": (
        HEAD + "@hookimpl\ndef groupbench_register_runners(config):\n    return []\n",
        "a hook does not fit its specification",
    ),
    "other API": ("GROUPBENCH_API = 2", "it needs API 2, this is 1"),
    "no iterable": (
        HEAD + "@hookimpl\ndef groupbench_register_runners():\n    return 3\n",
        "groupbench_register_runners raised TypeError",
    ),
    "an instance": (
        HEAD + STRATEGY.format(name="x").replace("return [Strategy]", "return [Strategy()]"),
        "which is not a class",
    ),
    "not frozen": (
        HEAD + STRATEGY.format(name="x").replace("frozen=True", "frozen=False"),
        "which is not a frozen dataclass",
    ),
    "bad name": (HEAD + STRATEGY.format(name="Bad Name"), "whose name = 'Bad Name' does not match"),
    "no summary": (
        HEAD + STRATEGY.format(name="x").replace('"a strategy of a test"', '""'),
        "which has no summary",
    ),
    "no method": (
        HEAD + STRATEGY.format(name="x").replace("def propose", "def suggest"),
        "which has no method propose",
    ),
    "name as a setting": (
        HEAD + STRATEGY.format(name="x").replace("name: ClassVar[str]", "name: str"),
        "whose name is a setting",
    ),
    "not a task": (
        HEAD + "@hookimpl\ndef groupbench_register_tasks():\n    return [3]\n",
        "groupbench_register_tasks returned 3, which is neither a Task nor a folder of cards",
    ),
    "settings without a JSON form": (
        HEAD + STRATEGY.format(name="x").replace("int = 2", "object = object()"),
        "describing grouping x raised ValueError",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_is_named_and_harms_nothing(
    bench: Bench, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, reason = BROKEN[what]
    if what == "hangs":
        monkeypatch.setenv("GROUPBENCH_PLUGIN_TIMEOUT", "2")
    bench.install("gb-bad", source, version="2.5")
    bench.install("gb-good", GOOD)
    plugins = bench.discover("gb-bad", "gb-good")
    (broken,) = plugins.broken
    assert str(broken).startswith("plugin gb-bad (gb-bad 2.5) is broken: ")
    assert reason in broken.reason
    assert "\n" not in str(broken)
    assert plugins.grouping("good").name == "good"
    with pytest.raises(PluginError, match=r"gb-bad 2.5"):
        bench.discover("gb-bad", "gb-good", strict=True)


def test_several_plugins_that_kill_their_process_are_each_named(bench: Bench) -> None:
    for name in ("gb-a", "gb-b", "gb-c"):
        bench.install(name, "import os\nos._exit(3)")
    bench.install("gb-good", GOOD)
    plugins = bench.discover("gb-a", "gb-b", "gb-c", "gb-good")
    assert [broken.source.plugin for broken in plugins.broken] == ["gb-a", "gb-b", "gb-c"]
    assert list(plugins.groupings) == ["good"]


def test_a_raising_hook_spares_the_other_hooks_of_its_plugin(bench: Bench) -> None:
    raising = "\n@hookimpl\ndef groupbench_register_runners():\n    raise OSError('no disk')\n"
    bench.install("gb-half", GOOD + raising)
    plugins = bench.discover("gb-half")
    assert [broken.source.plugin for broken in plugins.broken] == ["gb-half"]
    assert plugins.grouping("good").name == "good"


def test_what_a_plugin_prints_while_it_is_imported_does_no_harm(bench: Bench) -> None:
    bench.install("gb-loud", "import os\nprint('{}')\nos.write(1, b'noise')\n" + GOOD)
    plugins = bench.discover("gb-loud")
    assert not plugins.broken
    assert list(plugins.groupings) == ["good"]


def test_a_name_taken_twice_names_both_owners_and_keeps_both_reachable(bench: Bench) -> None:
    bench.install("gb-one", GOOD)
    bench.install("gb-two", GOOD)
    plugins = bench.discover("gb-one", "gb-two")
    assert list(plugins.groupings) == ["gb-one/good", "gb-two/good"]
    with pytest.raises(PluginError) as caught:
        plugins.grouping("good:n_groups=3")
    assert str(caught.value) == (
        "The grouping 'good' is offered twice, by plugin gb-one (gb-one 1.0) and "
        "plugin gb-two (gb-two 1.0): write gb-one/good or gb-two/good."
    )
    strategy = plugins.grouping("gb-two/good:n_groups=3")
    assert type(strategy).__module__ == "hooks_of_gb_two"


def test_an_unknown_name_suggests_the_nearest_and_recalls_what_is_broken(bench: Bench) -> None:
    bench.install("gb-good", GOOD)
    with pytest.raises(UnknownNameError, match="Did you mean 'good'") as caught:
        bench.discover("gb-good").grouping("god")
    assert "broken" not in str(caught.value)
    bench.install("gb-bad", "import no_such_module")
    with pytest.raises(UnknownNameError, match="A broken plugin may have offered it: gb-bad"):
        bench.discover("gb-good", "gb-bad").runner("fancy")


def test_a_wrong_setting_names_the_thing_and_the_setting(bench: Bench) -> None:
    bench.install("gb-good", GOOD)
    with pytest.raises(SettingError, match="grouping good: no setting named 'n_group'"):
        bench.discover("gb-good").grouping("good:n_group=3")


def test_plugins_can_be_chosen_and_blocked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.install("gb-one", GOOD)
    bench.install("gb-two", GOOD, plugin="second")

    def found() -> list[str]:
        return [record.source.plugin for record in Plugins.discover().records]

    monkeypatch.setenv("GROUPBENCH_PLUGINS", "gb-one, gb-two/second")
    assert found() == ["gb-one", "second"]
    monkeypatch.setenv("GROUPBENCH_PLUGINS", "none")
    assert found() == []
    assert [r.source.plugin for r in bench.discover("gb-one", "gb-two", blocked=["second"]).records]
    with pytest.raises(UnknownNameError, match=r"No plugin named 'secnd'. Did you mean 'second'"):
        Plugins.discover(blocked=["secnd"])


def test_plugins_are_asked_once_until_they_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.install("gb-good", GOOD)
    probed: list[str] = []
    from groupbench.plugins import process as plugin_process

    really = plugin_process.probe_apart

    def counted(sources: list[Source]) -> object:
        probed.extend(source.plugin for source in sources)
        return really(sources)

    monkeypatch.setattr(plugin_process, "probe_apart", counted)
    bench.discover("gb-good")
    bench.discover("gb-good")
    assert probed == ["gb-good"]
    path.write_text(GOOD.replace('"good"', '"better"'), encoding="utf-8")
    assert list(bench.discover("gb-good").groupings) == ["better"]
    bench.install("gb-new", "")  # availability may depend on what is installed
    bench.discover("gb-good")
    assert probed == ["gb-good"] * 3


@pytest.mark.parametrize("spoil", ["unwritable", "corrupt", "foreign", "half"])
def test_a_spoiled_index_costs_time_and_nothing_else(
    bench: Bench, spoil: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.install("gb-good", GOOD)
    if spoil == "unwritable":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path / "file" / "cache"))
    else:
        bench.discover("gb-good")
        (index,) = (tmp_path / "cache" / "plugins").iterdir()
        document = json.loads(index.read_text())
        if spoil == "half":
            for entry in document["plugins"].values():
                del entry["record"]["offerings"]
        texts = {"corrupt": "{", "foreign": "[1]", "half": json.dumps(document)}
        index.write_text(texts[spoil])
    assert list(bench.discover("gb-good").groupings) == ["good"]


def test_processes_that_index_at_once_agree(bench: Bench) -> None:
    for number in range(4):
        bench.install(f"gb-{number}", HEAD + STRATEGY.format(name=f"s{number}"))
    code = "from groupbench import Plugins; print(*Plugins.discover().groupings)"
    path = os.pathsep.join([str(bench.folder), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "GROUPBENCH_PLUGINS": "gb-0,gb-1,gb-2,gb-3"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [process.communicate()[0].split() for process in processes] == [
        ["s0", "s1", "s2", "s3"]
    ] * 3


def test_observers_hear_everything_and_one_that_raises_is_ignored(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    observer = HEAD + "heard = []\n@hookimpl\ndef groupbench_cell_finished(cell):\n    {}\n"
    bench.install("gb-a", observer.format("raise RuntimeError('tracker is down')"))
    bench.install("gb-b", observer.format("heard.append(cell)"))
    bench.install("gb-good", GOOD)
    plugins = bench.discover("gb-a", "gb-b", "gb-good")
    with caplog.at_level(logging.WARNING, logger="groupbench"):
        plugins.notify("groupbench_cell_finished", "a cell")
        plugins.notify("groupbench_cell_finished", cell="another")
        plugins.notify("groupbench_run_started", "nobody listens")
    assert sys.modules["hooks_of_gb_b"].heard == ["a cell", "another"]
    assert "hooks_of_gb_good" not in sys.modules
    assert [record.getMessage() for record in caplog.records] == [
        "plugin gb-a (gb-a 1.0) was ignored: groupbench_cell_finished raised "
        "RuntimeError: tracker is down."
    ] * 2


def _write_card(folder: Path, name: str, **more: object) -> Path:
    task = folder / name
    task.mkdir(parents=True)
    card = {"name": name, "kind": "single", "labels": ["a", "b"], "metrics": ["accuracy"], **more}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in card.items()]
    (task / "card.toml").write_text("".join(lines), encoding="utf-8")
    rows = "".join(json.dumps({"text": f"t{i}", "label": "ab"[i % 2]}) + "\n" for i in range(8))
    for split in ("train", "validation", "test"):
        (task / f"{split}.jsonl").write_text(rows.replace("t", split[:2]), encoding="utf-8")
    return task


TASKS = HEAD + "@hookimpl\ndef groupbench_register_tasks():\n    return [Path({folder!r})]\n"


def test_tasks_come_from_folders_of_cards(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_card(tmp_path / "mine", "alpha", domain="made", data_class="open")
    _write_card(tmp_path / "yours", "beta")
    given = bench.discover(tasks_dirs=[tmp_path / "mine"])
    assert list(given.tasks) == ["alpha"]
    assert given.tasks["alpha"].facts == {
        "kind": "single",
        "domain": "made",
        "data_class": "open",
        "planted": False,
    }
    monkeypatch.setenv(
        "GROUPBENCH_TASKS", os.pathsep.join([str(tmp_path / "mine"), str(tmp_path / "yours")])
    )
    plugins = bench.discover()
    assert list(plugins.tasks) == ["alpha", "beta"]
    assert plugins.task("beta").labels == ("a", "b")


def test_a_task_name_taken_by_two_cards_is_an_error_that_names_both(
    bench: Bench, tmp_path: Path
) -> None:
    _write_card(tmp_path / "mine", "alpha")
    _write_card(tmp_path / "yours", "alpha")
    with pytest.raises(CardError, match=r"yours.*'alpha' is taken by .*mine"):
        bench.discover(tasks_dirs=[tmp_path / "mine", tmp_path / "yours"]).task("alpha")


def test_a_card_of_the_users_own_folder_wins_over_a_plugins(bench: Bench, tmp_path: Path) -> None:
    _write_card(tmp_path / "mine", "alpha")
    _write_card(tmp_path / "yours", "alpha")
    _write_card(tmp_path / "yours", "beta")
    bench.install("gb-tasks", TASKS.format(folder=str(tmp_path / "yours")))
    plugins = bench.discover("gb-tasks", tasks_dirs=[tmp_path / "mine"])
    assert list(plugins.tasks) == ["alpha", "beta"]
    assert "mine" in plugins.task("alpha").source
    assert "mine" in plugins.task("mine/alpha").source
    assert "yours" in plugins.task("gb-tasks/alpha").source
    assert list(plugins.tasks.hidden) == ["gb-tasks/alpha"]
    assert list(bench.discover("gb-tasks").tasks.hidden) == []


def test_cards_of_a_plugin_are_read_without_importing_it(bench: Bench, tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    _write_card(cards, "alpha")
    bench.install("gb-tasks", TASKS.format(folder=str(cards)))
    plugins = bench.discover("gb-tasks")
    assert plugins.task("alpha").name == "alpha"
    assert "hooks_of_gb_tasks" not in sys.modules
    _write_card(cards, "beta")  # a new card is seen at once
    _write_card(cards, "gamma", kind="nonsense")  # a bad one spares the others
    plugins = bench.discover("gb-tasks")
    assert list(plugins.tasks) == ["alpha", "beta"]
    (broken,) = plugins.broken
    assert "gamma" in broken.reason
    assert "nonsense" in broken.reason


SUITE = (
    HEAD
    + """
def load():
    return {{}}

@dataclass(frozen=True)
class Made:
    name: ClassVar[str] = "{name}"
    summary: ClassVar[str] = "a suite of a test"
    world: int = 1

    def build(self):
        if self.world == 9:
            raise RuntimeError("no such world")
        task = Task("made-task", Kind.SINGLE, ("a", "b"), ("accuracy",), load,
                    domain=f"world-{{self.world}}", planted=Planted(0.5, "easy", None))
        return Suite("{name}", (task,), note="made up")

@hookimpl
def groupbench_register_suites():
    return [Made]
"""
)


def test_suites_are_configured_and_their_tasks_can_be_named(bench: Bench) -> None:
    bench.install("gb-suite", SUITE.format(name="made"))
    plugins = bench.discover("gb-suite")
    assert plugins.suites["made"].facts["note"] == "made up"
    assert plugins.tasks["made-task"].facts["planted"] is True
    assert plugins.suite("made:world=3")["made-task"].domain == "world-3"
    assert plugins.task("made-task").domain == "world-1"
    with pytest.raises(PluginError, match=r"gb-suite 1.0.*raised RuntimeError: no such world"):
        plugins.suite("made:world=9")


def test_a_task_of_two_suites_says_which_is_meant(bench: Bench) -> None:
    bench.install("gb-one", SUITE.format(name="one"))
    bench.install("gb-two", SUITE.format(name="two"))
    plugins = bench.discover("gb-one", "gb-two")
    with pytest.raises(PluginError, match="write one/made-task or two/made-task"):
        plugins.task("made-task")
    assert plugins.task("two/made-task").name == "made-task"


def test_a_plugin_that_breaks_after_it_was_indexed_is_named_when_it_is_used(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GB_TEST_BREAK", "")
    bench.install("gb-good", "import os\nassert not os.environ['GB_TEST_BREAK'], 'gone'\n" + GOOD)
    plugins = bench.discover("gb-good")
    monkeypatch.setenv("GB_TEST_BREAK", "1")
    with pytest.raises(PluginError, match=r"plugin gb-good .* is broken: .*AssertionError: gone"):
        plugins.grouping("good")


RUNNER = (
    HEAD
    + """
from groupbench import Place, Resources

@dataclass(frozen=True)
class Made:
    name: ClassVar[str] = "made"
    summary: ClassVar[str] = "a runner of a test"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    seeded: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = ()
    deciding_modules: ClassVar[tuple[str, ...]] = ()

    def availability(self):
        {availability}

    def place(self):
        return Place.LOCAL

    def resources(self, group, suite):
        return Resources()

    def identity(self):
        return {{}}

    def fit(self, request):
        raise RuntimeError("not in this test")

@hookimpl
def groupbench_register_runners():
    return [Made]
"""
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return None", None),
        ("return 'no GPU: buy one'", "no GPU: buy one"),
        ("raise KeyError('GPU')", "availability() raised KeyError: 'GPU'"),
    ],
)
def test_a_runner_says_why_it_cannot_run_here(bench: Bench, body: str, reason: str | None) -> None:
    bench.install("gb-runner", RUNNER.format(availability=body))
    plugins = bench.discover("gb-runner")
    assert plugins.runners["made"].reason == reason
    assert plugins.runner_class("made").summary == "a runner of a test"
    assert not plugins.broken


def test_a_hook_module_is_found_without_importing_the_packages_around_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groupbench.plugins.index import locate

    package = bench.folder / "hooks_of_deep" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "hooks.py").write_text("")  # inner is a namespace package
    monkeypatch.syspath_prepend(str(bench.folder))
    assert locate("hooks_of_deep.inner.hooks") == package / "hooks.py"
    assert locate("hooks_of_deep.inner.absent") is None
    assert locate("no_such_package.hooks") is None
    assert "hooks_of_deep" not in sys.modules
