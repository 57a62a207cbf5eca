"""A grouping's evidence in terminals of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from groupbench.report.groups import grouping_text

ROWS = [
    {"a": f"a-task-{i}", "b": "another", "verdict": "similar", "p_value": 0.25, "ci": [-0.1, 0.1]}
    | {f"measure_number_{k}": 0.5 for k in range(12)}
    for i in range(3)
]
DOCUMENT = {
    "grouping": "pvi",
    "runner": "encoder",
    "seeds": [0],
    "groups": [{"trains": ["x", "y"], "serves": ["x"]}],
    "evidence": {"pairs": ROWS, "empty": []},
    "warnings": [],
}


def shown(width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(grouping_text(DOCUMENT))
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 80, 140, 400])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, shown(width).splitlines())) <= width


def test_columns_that_do_not_fit_are_named() -> None:
    narrow = shown(80)
    assert "-0.100, 0.100" in narrow  # cells are whole
    assert "Not shown here, but in --json:" in narrow
    assert "measure number 11" in narrow
    assert "Not shown" not in shown(400)


def test_every_row_is_there_at_any_width() -> None:
    for width in (40, 80, 400):
        assert all(str(row["a"]) in shown(width) for row in ROWS)
