"""The page that tells how to add a task: its commands run as they stand there, in their order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

    from sites import Site

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "add-your-task.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_leads_from_a_file_to_a_leaderboard(site: Site) -> None:
    (head,) = blocks("csv")
    tails = [("awful and slow", "bad"), ("great and perfect", "good")]
    more = [f"x{i},c{i % 40},{tails[i % 2][0]} {i},{tails[i % 2][1]}\n" for i in range(300)]
    (site.folder / "reviews.csv").write_text(head + "".join(more), encoding="utf-8")
    card = site.folder / "my-tasks" / "reviews" / "card.toml"
    ran: dict[str, subprocess.CompletedProcess[str]] = {}
    cards = []
    for line in "".join(blocks("sh")).splitlines():
        program, *arguments = line.split()
        assert program == "groupbench"
        ran[line] = site.groupbench(*arguments, timeout=300)
        assert ran[line].returncode == 0, f"{line}\n{ran[line].stderr}"
        cards.append(card.read_text(encoding="utf-8"))
    first, second, check, run = ran.values()
    assert blocks("toml") == [cards[0]]
    assert "--cluster-column customer" in " ".join(first.stdout.split())
    assert "--cluster-column" not in second.stdout
    assert 'cluster_column = "customer"' in cards[1]
    assert "0 errors" in check.stdout
    assert "kettle" not in check.stdout
    assert "tfidf" in run.stdout
    # What the second command prints as the next ones are the page's.
    assert "groupbench tasks check my-tasks" in second.stdout


def test_the_options_of_the_page_exist(site: Site) -> None:
    shown = site.groupbench("tasks", "new", "--help").stdout
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    told = set(re.findall(r"--[a-z][a-z-]+", prose)) - {"--grouping", "--runner", "--task"}
    assert len(told) > 5
    for option in told:
        assert option in shown
