"""What is said of wrong input: the file, the field, the value and the mend, and exit code 2."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from groupbench.cli import main
from groupbench.errors import MOST_NAMES, UnknownNameError
from groupbench.llm.presets import PRESETS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from sites import Site

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def ask(fixture_site: Site, tasks_dir: Path) -> Any:
    """Run a command over three small tasks; return the process."""

    def start(
        command: str, *arguments: object, **environment: Any
    ) -> subprocess.CompletedProcess[str]:
        return fixture_site.groupbench(
            *(command, "--tasks-dir", tasks_dir, *arguments),
            **environment,
        )

    return start


@pytest.fixture
def refused(tasks_dir: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command of the built-in plugins that ends with exit code 2; return what it says."""

    def start(command: str, *arguments: object) -> str:
        with pytest.raises(SystemExit) as end:
            main([command, "--tasks-dir", str(tasks_dir), *map(str, arguments)], "groupbench")
        said = capfd.readouterr().err.splitlines()[-1]
        assert end.value.code == 2, said
        assert said.startswith("Error: ")
        return said.removeprefix("Error: ")

    return start


def error_of(process: subprocess.CompletedProcess[str], code: int = 2) -> str:
    assert process.returncode == code, process.stderr
    assert "Traceback" not in process.stderr
    last = process.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    return last.removeprefix("Error: ")


@contextmanager
def endpoint() -> Iterator[tuple[str, list[str]]]:
    """Serve nothing on loopback, and list what was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_GET = do_POST = answer  # noqa: N815 - the base's names

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
        server.shutdown()
        thread.join()


def test_a_place_where_no_answer_can_be_kept_is_said_before_anything_is_asked(
    ask: Any, tmp_path: Path
) -> None:
    pytest.importorskip("openai")
    place = tmp_path / "a-file"
    place.write_text("")
    with endpoint() as (url, asked):
        chosen = ("--task", "alpha", "--runner", f"openai:model=m,mode=text,url={url}")
        more = ("--runner", "counting", "--grouping", "single")
        process = ask("run", *chosen, *more, "--store", tmp_path / "s", GROUPBENCH_CACHE=str(place))
        assert not asked
        said = error_of(process)
        assert str(place) in said
        assert "set GROUPBENCH_CACHE" in said
        assert not process.stdout
        assert ask("run", *chosen, *more, "--store", tmp_path / "s").returncode != 2
        assert asked
    alone = ("--task", "alpha", *more, "--store", tmp_path / "other")
    assert ask("run", *alone, GROUPBENCH_CACHE=str(place)).returncode == 0


@pytest.mark.parametrize("runner", ["vllm", "hf-lm", "lora"])
def test_a_mistyped_preset_is_answered_with_the_presets_nearest_first(
    refused: Any, runner: str
) -> None:
    pytest.importorskip("transformers")
    said = refused("prompt", "alpha", "--runner", f"{runner}:model=lama-3-8b")
    assert "model = 'lama-3-8b' is no preset. Did you mean 'llama3-8b'?" in said
    assert all(name in said for name in PRESETS)
    assert said.index("llama3.1-8b") < said.index("llama2-70b")
    assert "download" not in said


def test_a_mistyped_model_of_openai_is_answered_with_the_nearest(refused: Any) -> None:
    said = refused("prompt", "alpha", "--runner", "openai:model=gpt-4.1-mni")
    assert said.endswith("Did you mean model=gpt-4.1-mini?")


def test_groups_of_a_runner_that_fine_tunes_nothing_name_it_and_the_mend(
    ask: Any, tmp_path: Path
) -> None:
    runners = ("--runner", "hf-lm:model=llama3-8b", "--runner", "majority", "--runner", "absent")
    common = ("--task", "alpha", *runners, "--store", tmp_path / "s")
    said = error_of(ask("group", *common), 5)
    assert "hf-lm:model=llama3-8b fine-tunes nothing" in said
    assert "majority fits each task alone" in said
    assert "absent cannot run here (" in said
    assert "--runner encoder" in said


def test_a_reason_that_tasks_share_is_said_once(ask: Any, tmp_path: Path) -> None:
    process = ask(
        *("run", "--task", "alpha", "--task", "beta", "--task", "gamma", "--json"),
        *("--grouping", "single", "--grouping", "halves", "--fit-minutes", "0.005"),
        *("--runner", "counting:seconds=30", "--store", tmp_path / "s"),
    )
    assert process.returncode == 3
    reasons = {e["grouping"]: e["reason"] for e in json.loads(process.stdout)["entries"]}
    assert reasons["single"].startswith("3 tasks: alpha, beta, gamma: killed after ")
    assert reasons["single"].count("killed") == 1
    shared = "3 fits that the strategy needs failed: 3 tasks: alpha, beta, gamma: killed after "
    assert reasons["halves"].startswith(shared)


def test_what_does_not_go_together_is_a_skipped_row(ask: Any, tmp_path: Path) -> None:
    common = ("run", "--task", "alpha", "--runner", "counting", "--store", tmp_path / "s")
    alone = ask(*common, "--grouping", "unfit", "--json")
    assert alone.returncode == 5
    (entry,) = json.loads(alone.stdout)["entries"]
    assert (entry["status"], entry["reason"]) == ("skipped", "unfit needs what alpha lacks.")
    beside = ask(*common, "--grouping", "unfit", "--grouping", "single")
    assert beside.returncode == 0
    planned = json.loads(ask(*common, "--grouping", "unfit", "--dry-run", "--json").stdout)
    assert [row["reason"] for row in planned["skipped"]] == ["unfit needs what alpha lacks."]


def test_a_strategy_that_raises_is_a_row_of_the_plan(ask: Any, tmp_path: Path) -> None:
    common = ("--task", "alpha", "--runner", "counting", "--store", tmp_path / "s", "--dry-run")
    chosen = ("--grouping", "raising", "--grouping", "single")
    planned = ask("run", *common, *chosen, "--json")
    assert planned.returncode == 0, planned.stderr
    document = json.loads(planned.stdout)
    assert [row["grouping"] for row in document["failed"]] == ["raising"]
    assert document["fits"]["distinct"] == 1
    assert "failed: raising/counting: KeyError" in ask("run", *common, *chosen).stdout


def test_a_cell_without_a_grouping_needs_no_dash(ask: Any, tmp_path: Path) -> None:
    common = ("--task", "alpha", "--runner", "majority", "--store", tmp_path / "s")
    assert ask("run", *common).returncode == 0
    shown = {
        cell: ask("explain", cell, *common, "--json") for cell in ("majority/0", "-/majority/0")
    }
    for process in shown.values():
        assert process.returncode == 0, process.stderr
        (fit,) = json.loads(process.stdout)["fits"]
        assert fit["stored"]
        assert fit["serves"] == ["alpha"]
    behind = ask("explain", *common, "--", "-/majority/0")
    assert "is stored" in behind.stdout
    assert "Did you mean 'majority/0'?" in error_of(ask("explain", "-/majorty/0", *common))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-usd", "inf"], ["limits.max_usd = inf", "no limit"]),
        (["--fit-minutes", "0"], ["limits.fit_minutes = 0", "no limit"]),
        (["--baseline", "sngle"], ["baseline = 'sngle'", "Did you mean 'single'?"]),
        (["--seed", "4294967296"], ["4294967296", "4294967295"]),
    ],
)
def test_options_that_make_no_sense_are_refused(
    refused: Any, arguments: list[str], words: list[str]
) -> None:
    said = refused("run", "--task", "alpha", "--grouping", "single", *arguments, "--dry-run")
    assert all(word in said for word in words), said
    assert said.startswith("the command line: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[grouping]]\nname = "pvi"\nmargn = 3', ["margn", "'margin'"]),
        ('[[runner]]\nname = "majorty"', ["'majorty'", "'majority'"]),
        ('executor = "lcal"', ["'lcal'", "'local'"]),
        ('[[allow]]\ntask = "alpha"\nrunner = "opena"\nreason = "r"', ["'opena'", "'openai'"]),
        ('[[allow]]\ntask = "alfa"\nrunner = "openai"\nreason = "r"', ["'alfa'", "'alpha'"]),
        ('baseline = "al"\n[[grouping]]\nname = "all"', ["baseline = 'al'", "'all'"]),
    ],
)
def test_a_wrong_name_in_a_file_names_the_file(
    refused: Any, tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f'tasks = ["alpha"]\n{text}\n')
    said = refused("run", path, "--dry-run")
    assert said.startswith(f"{path}: ")
    assert all(word in said for word in words), said


def test_a_wrong_name_on_the_command_line_does_not_blame_the_file(
    refused: Any, tmp_path: Path
) -> None:
    path = tmp_path / "x.toml"
    path.write_text('tasks = ["alpha"]\n')
    for option, name in (("--task", "alfa"), ("--runner", "majorty"), ("--max-train", "1")):
        assert str(path) not in refused("run", path, option, name, "--dry-run")


def test_more_folds_than_rows_are_said(refused: Any, tmp_path: Path) -> None:
    common = ("--task", "alpha", "--runner", "tfidf", "--store", tmp_path / "s")
    said = refused("pvi", *common, "--cross-fit", "100")
    assert "36 rows of train and dev-B cannot be cut into 100 folds" in said
    assert "alpha" in said


def test_what_two_options_or_a_file_in_the_place_of_a_folder_cannot_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.toml").write_text("")
    for arguments, said in (
        (["leaderboard", "show", "--json", "--markdown"], "leave one out"),
        (["tasks", "check", "notes.toml"], "notes.toml: is a file; name a folder"),
        (["prompt", "f0_cue", "--runner", "hf-lm:model=./notes.toml"], "notes.toml is a file"),
        (["prompt", "f0_cue", "--runner", "hf-lm:model=./absent"], "absent is not there"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments, "groupbench")
        assert end.value.code == 2
        assert said in capfd.readouterr().err


def test_a_hundred_thousand_names_are_not_all_listed() -> None:
    names = [f"example-{i:05}" for i in range(100_000)]
    said = str(UnknownNameError("example", "zzz", names))
    assert f"and {100_000 - MOST_NAMES} more." in said
    assert len(said) < 2000
