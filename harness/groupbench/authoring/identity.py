"""Columns that tell rows apart, and those that may bind rows together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from groupbench.authoring.columns import MEAN_WORDS, Form
from groupbench.authoring.doubts import Doubt
from groupbench.authoring.names import CLUSTER_NAMES, ID_NAMES
from groupbench.cards.paths import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.authoring.columns import Column

_FORMS = {Form.TEXT, Form.WHOLE}


def id_column(columns: Iterable[Column]) -> str | None:
    """Return the column that is called an id and is one: in every row, and never twice."""
    for column in columns:
        called = column.words[-1:] and column.words[-1] in ID_NAMES
        if called and column.unique and column.form in _FORMS and column.mean_words <= 1:
            return column.name
    return None


def cluster_doubts(columns: Iterable[Column]) -> list[Doubt]:
    """Return what to say of columns that may name the document or patient of each row."""
    doubts = []
    for column in columns:
        called = not CLUSTER_NAMES.isdisjoint(column.words) or _binds(column)
        n = len(column.distinct)
        if (
            called
            and column.form in _FORMS
            and not column.n_missing
            and column.mean_words < MEAN_WORDS
            and 1 < n < len(column.cells)
        ):
            doubts.append(
                Doubt(
                    "cluster",
                    f"{column.name} ({n} different values) may be the document or patient of a row."
                    f" If so, --cluster-column {column.name} keeps its rows together when data are"
                    " divided.",
                )
            )
    return doubts


def _binds(column: Column) -> bool:
    """Return whether it is called an id and repeats more than one counted anew by split would."""
    if not column.words or column.words[-1] not in ID_NAMES or column.form not in _FORMS:
        return False
    return max(Counter(column.filled).values(), default=0) > len(SPLITS)
