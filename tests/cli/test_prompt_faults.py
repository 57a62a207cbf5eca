"""A fault in a card's [prompt] is one message and exit code 2, whatever runner was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sites import write_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ('verbalisers = {no = "Nope", yes = "nope."}', ["yes", "'nope.'", "no already"]),
        ('input = "Text: {txt}"', ["[prompt] input", "{txt}", "{text}"]),
    ],
)
def test_a_fault_of_the_wording_is_one_message_and_exit_code_2(
    site: Site, tmp_path: Path, prompt: str, words: list[str]
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha"])
    card = tasks / "alpha" / "card.toml"
    card.write_text(f"{card.read_text()}[prompt]\n{prompt}\n", encoding="utf-8")

    process = site.groupbench(
        *("run", "--tasks-dir", tasks, "--task", "alpha", "--grouping", "single"),
        *("--runner", "majority", "--store", tmp_path / "store", "--json"),
    )

    assert process.returncode == 2, process.stdout + process.stderr
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    for word in [str(card), *words]:
        assert word in process.stderr
