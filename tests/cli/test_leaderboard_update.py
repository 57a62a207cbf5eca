"""`leaderboard update`: finished entries go into a folder that can be committed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sites import Site, write_tasks

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

WORD_OF_EVERY_TEXT = "item"


class Desk:
    """A folder with tasks, a store and a leaderboard's folder."""

    def __init__(self, root: Path, **card: Any) -> None:
        self.site = Site(root)
        self.board = root / "board"
        self.board.mkdir()
        self.tasks = write_tasks(root / "tasks", ["alpha", "beta"], **card)
        self.ask("majority")

    def ask(self, *runners: str) -> None:
        """Write the experiment."""
        chosen = "".join(f'[[runner]]\nname = "{name}"\n' for name in runners)
        (self.board / "experiment.toml").write_text(
            'schema = "groupbench/experiment/1"\nname = "mine"\ntasks = ["alpha", "beta"]\n'
            f'tasks_dirs = ["../tasks"]\n[[grouping]]\nname = "single"\n{chosen}'
        )

    def run(self) -> None:
        """Run the experiment."""
        self.call(0, "run", self.board / "experiment.toml", "--quiet")

    def update(self, code: int = 0) -> Any:
        """Publish the last board."""
        done = self.call(code, "leaderboard", "update", self.board, "--json")
        return json.loads(done.stdout) if code == 0 else done.stderr

    def shown(self, name: str | None = None) -> Any:
        """Return the board of an experiment of the store, or the last one, as JSON."""
        named = () if name is None else ("--name", name)
        return json.loads(self.call(0, "leaderboard", "show", *named, "--json").stdout)

    def call(self, code: int, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run the command line and hold it to an exit code."""
        done = self.site.groupbench(*arguments)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_entries_are_published_once_and_more_are_added(desk: Desk) -> None:
    desk.run()
    first = desk.update()
    assert first["added"] == ["majority"]
    page = (desk.board / "README.md").read_text()
    assert page.startswith("# mine\n")
    assert "majority" in page
    assert 'tasks = ["alpha", "beta"]' in page
    before = contents(desk.board)
    again = desk.update()
    assert (again["added"], again["known"]) == ([], ["majority"])
    assert contents(desk.board) == before
    desk.ask("majority", "tfidf")
    desk.run()
    assert desk.update()["added"] == ["tfidf"]
    after = contents(desk.board)
    assert {n: before[n] for n in before if n.startswith("entries")}.items() <= after.items()


def test_what_is_published_is_sound_and_shows_the_same_board(desk: Desk) -> None:
    desk.ask("majority", "tfidf")
    desk.run()
    desk.update()
    desk.call(0, "store", "check", desk.board)
    mine = json.loads(desk.call(0, "leaderboard", "show", "--json").stdout)
    theirs = json.loads(desk.call(0, "leaderboard", "show", desk.board, "--json").stdout)
    assert theirs["entries"] == mine["entries"]


def test_no_text_is_published_and_of_closed_tasks_only_scores(tmp_path: Path) -> None:
    desk = Desk(tmp_path, data_class="private")
    desk.run()
    desk.update()
    found = contents(desk.board)
    assert not [name for name in found if name.endswith(".parquet")]
    entries = b"".join(content for name, content in found.items() if name.startswith("entries"))
    assert b"score" in entries
    assert WORD_OF_EVERY_TEXT.encode() not in entries


def test_the_authors_words_stand_on_the_page(desk: Desk) -> None:
    (desk.board / "reading.md").write_text("Nothing beats guessing here.\n")
    desk.run()
    desk.update()
    assert "Nothing beats guessing here." in (desk.board / "README.md").read_text()


def test_a_folder_gets_the_board_of_its_own_experiment(desk: Desk) -> None:
    desk.run()
    mine = (desk.board / "experiment.toml").read_text()
    other = mine.replace('"mine"', '"yours"').replace('["alpha", "beta"]', '["alpha"]')
    (desk.site.folder / "other").mkdir()
    (desk.site.folder / "other" / "experiment.toml").write_text(other)
    desk.call(0, "run", desk.site.folder / "other" / "experiment.toml", "--quiet")

    assert desk.update()["added"] == ["majority"]
    assert [len(b["tasks"]) for b in map(desk.shown, ("mine", "yours"))] == [2, 1]
    assert len(desk.shown()["tasks"]) == 1, "the last one that was run"
    refused = desk.call(2, "leaderboard", "show", "--name", "theirs").stderr
    assert "mine" in refused
    assert "yours" in refused
    desk.call(0, "leaderboard", "show", desk.board, "--name", "mine")
    refused = desk.call(2, "leaderboard", "show", desk.board, "--name", "yours").stderr
    assert "Known: mine." in refused
    wrong = desk.call(2, "leaderboard", "update", desk.board, "--name", "yours").stderr
    assert "--name" in wrong


def test_other_data_are_refused_and_nothing_is_lost(desk: Desk) -> None:
    desk.run()
    desk.update()
    rows = (desk.tasks / "beta" / "test.jsonl").read_text().splitlines()
    (desk.tasks / "beta" / "test.jsonl").write_text("\n".join(rows[:-2]) + "\n")
    desk.run()
    before = contents(desk.board)
    assert "other tasks or other data" in desk.update(code=2)
    assert contents(desk.board) == before


def test_a_folder_without_an_experiment_is_refused(desk: Desk) -> None:
    desk.run()
    (desk.board / "experiment.toml").unlink()
    assert "experiment.toml" in desk.update(code=2)
    assert contents(desk.board) == {}
