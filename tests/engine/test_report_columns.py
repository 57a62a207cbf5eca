"""Tables of plain text keep to the terminal's width and lose nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groupbench.report.columns import columns_text, text_width

WORDS = st.text(st.sampled_from("abcö大 "), max_size=40)
TABLES = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(WORDS, min_size=n, max_size=n), min_size=1, max_size=5)
)


def squeezed(text: str) -> str:
    return "".join(sorted(text.replace(" ", "").replace("\n", "").replace("─", "")))


@given(TABLES, st.integers(40, 120))
def test_no_line_is_wider_than_asked_and_every_character_is_shown(
    rows: list[list[str]], width: int
) -> None:
    head = [f"c{number}" for number in range(len(rows[0]))]
    shown = columns_text(head, rows, width)
    assert max(map(text_width, shown.splitlines())) <= width
    assert squeezed(shown) == squeezed("".join(head) + "".join("".join(row) for row in rows))


def test_names_are_folded_last() -> None:
    rows = [["a-name-that-people-copy", "word " * 30, "more " * 30]]
    shown = columns_text(["name", "about", "notes"], rows, 60)
    assert "a-name-that-people-copy" in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_a_table_without_rows_is_its_head() -> None:
    assert columns_text(["name", "about"], [], 80) == "name  about\n───────────"
