"""The pages for authors do what they say: their commands and programs run, in their order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sites import write_tasks

from groupbench.cards.card import load_card
from groupbench.cards.paths import find_cards
from groupbench_tasks.hooks import CARDS

if TYPE_CHECKING:
    from sites import Site

    from groupbench.cards.card import TaskCard

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("write-a-strategy.md", "use-from-python.md", "tasks.md")


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and text of a page's code blocks."""
    return re.findall(r"```(\w+)\n(.*?)```", (DOCS / page).read_text("utf-8"), flags=re.DOTALL)


def python(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=site.environment(),
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_strategy_of_the_page_passes_its_tests_and_is_listed(site: Site) -> None:
    ran = []
    for language, text in blocks("write-a-strategy.md"):
        if language == "python":
            path, _, source = text.partition("\n")
            target = site.folder / path.removeprefix("# ")
            assert target.exists(), f"{target} is replaced, so `plugins new` must have written it"
            target.write_text(source, encoding="utf-8")
            continue
        for line in text.splitlines():
            program, *arguments = line.split()
            if program == "pip":  # what `pip install -e` does, without pip
                assert arguments == ["install", "-e", "word-overlap"]
                site.paths.append(site.folder / "word-overlap")
                site.install("word-overlap", module="word_overlap.hooks")
                continue
            if program == "python":
                process = python(site, *arguments, "-q", "-p", "no:cacheprovider")
            else:
                process = site.groupbench(*arguments)
            assert process.returncode == 0, f"{line}\n{process.stdout}{process.stderr}"
            ran.append((line, process.stdout))
    said = dict(ran)
    assert "word-overlap" in said["groupbench groupings list"]
    assert "0 failed, 0 skipped" in said["groupbench plugins check word-overlap"]
    (shown,) = [text for line, text in ran if line.startswith("groupbench group ")]
    assert "f0_cue" in shown
    assert "Jaccard" in shown


def test_the_python_page_runs_from_top_to_bottom(site: Site) -> None:
    pytest.importorskip("sklearn")
    write_tasks(site.folder / "my-tasks", ["reviews", "complaints"])
    program = "".join(text for language, text in blocks("use-from-python.md"))
    process = python(site, "-c", program)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert "reviews single accuracy 24" in lines
    assert "None tfidf None" in lines
    assert "No task named 'reviws'. Did you mean 'reviews'?" in lines
    assert "groupbench/plan/1" in lines
    assert re.search(r"^0 [1-9]\d* None$", process.stdout, flags=re.MULTILINE)
    assert any(line.startswith("1 1 None ") for line in lines)


def test_the_attributes_that_the_page_names_are_there() -> None:
    from groupbench.leaderboard.row import Row

    page = (DOCS / "use-from-python.md").read_text("utf-8")
    (table,) = re.findall(r"\| attribute of a row .*?\n\n", page, flags=re.DOTALL)
    known = {*dir(Row), *Row.__dataclass_fields__}
    for cell in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE):
        for name in re.findall(r"`(\w+)", cell):
            assert name in known


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text("utf-8")):
        assert link.startswith("http") or (DOCS / link).exists(), link


def row(card: TaskCard) -> str:
    """Return the line of a card in the page's table."""
    n_labels = sum(label != "O" for label in card.labels)
    n = len({label[2:] for label in card.labels if label != "O"})
    count = f"{n} types" if str(card.kind) == "token" else str(n_labels)
    source = card.source or {}
    if source["loader"] == "hub":
        config = f", {source['config']}" if "config" in source else ""
        origin = f"[{source['id']}]({card.about['homepage']}){config}"
    else:
        origin = f"`{source['folder']}/`, from [its owners]({card.about['homepage']})"
    facts = (f"`{card.name}`", card.title, str(card.kind), count, card.metrics[0], origin)
    return f"| {' | '.join(facts)} |"


def test_the_page_of_tasks_lists_every_card_as_it_is() -> None:
    page = (DOCS / "tasks.md").read_text("utf-8")
    listed = [line for line in page.splitlines() if line.startswith("| `")]
    wanted = [row(load_card(path)) for path in find_cards(CARDS)]
    assert sorted(listed) == sorted(wanted)
