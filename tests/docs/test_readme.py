"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sites import write_tasks

if TYPE_CHECKING:
    from sites import Site

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_runs(site: Site, tmp_path: Path) -> None:
    write_tasks(tmp_path / "cards", ["alpha", "beta"])
    (tmp_path / "site" / "experiment.toml").write_text(
        'tasks = ["alpha", "beta"]\ntasks_dirs = ["../cards"]\n[[runner]]\nname = "majority"\n'
    )
    (example,) = blocks("python")
    process = subprocess.run(
        [sys.executable, "-c", example],
        cwd=site.folder,
        env=site.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "majority" in process.stdout


def test_the_card_of_the_readme_is_a_card(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "my-tasks" / "reviews"
    folder.mkdir(parents=True)
    (card,) = blocks("toml")
    (folder / "card.toml").write_text(card)
    for split in ("train", "validation", "test"):
        rows = "".join(f"{split} words {i},{['bad', 'good'][i % 2]}\n" for i in range(8))
        (folder / f"{split}.csv").write_text("text,label\n" + rows)
    process = site.groupbench("tasks", "show", "reviews", "--tasks-dir", tmp_path / "my-tasks")
    assert process.returncode == 0, process.stderr
    assert "private" in process.stdout


@pytest.mark.parametrize("kind", ["groupings", "runners"])
def test_every_built_in_strategy_and_runner_is_named(site: Site, kind: str) -> None:
    import json

    process = site.groupbench(kind, "list", "--json")
    for offering in json.loads(process.stdout)[kind]:
        assert f"`{offering['name']}`" in README


def test_the_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link
