"""What people call columns: names that tell texts, labels, pairs, ids and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from groupbench.authoring.columns import Column

TEXT_NAMES = (
    "text", "sentence", "review", "comment", "content", "body", "message", "utterance", "tweet",
    "abstract", "note", "report", "description", "question", "query", "premise", "post",
    "headline", "title", "sms", "input",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "category", "categories", "target", "gold", "sentiment", "stance",
    "emotion", "emotions", "intent", "relation", "topic", "topics", "rating", "stars", "score",
    "y", "type", "answer", "outcome", "verdict",
)  # fmt: skip
PAIRS = (
    ("text", "text_pair"), ("premise", "hypothesis"), ("question", "context"),
    ("question", "sentence"), ("question", "passage"), ("question", "abstract"),
    ("query", "passage"), ("query", "document"), ("claim", "evidence"), ("context", "response"),
)  # fmt: skip
ENDINGS = (("1", "2"), ("a", "b"), ("one", "two"), ("left", "right"))
ID_NAMES = frozenset({"id", "idx", "index", "guid", "uid", "uuid", "key"})
CLUSTER_NAMES = frozenset({
    "document", "doc", "docid", "pmid", "pmcid", "patient", "subject", "person", "user", "author",
    "speaker", "admission", "hadm", "encounter", "visit", "article", "conversation", "dialogue",
    "dialog", "thread", "session", "trial", "study", "cluster", "customer", "client", "case",
    "source",
})  # fmt: skip


def rank(column: Column, names: Sequence[str]) -> tuple[int, int] | None:
    """Return how well a column's name is one of ``names``: as a whole, then by a word of it."""
    whole = "_".join(column.words)
    if whole in names:
        return 0, names.index(whole)
    inside = [names.index(word) for word in column.words if word in names]
    return (1, min(inside)) if inside else None


def ranked(columns: Iterable[Column], names: Sequence[str]) -> list[Column]:
    """Return the columns that are called by one of ``names``, the best first."""
    called = [(at, c) for c in columns if (at := rank(c, names)) is not None]
    return [column for _, column in sorted(called, key=lambda one: one[0])]


def pair_of(texts: Iterable[Column]) -> tuple[str, str] | None:
    """Return the two columns whose names say that they are a pair."""
    names = {"_".join(column.words): column.name for column in texts}
    for first, second in PAIRS:
        if first in names and second in names:
            return names[first], names[second]
    for name, column in names.items():
        for one, two in ENDINGS:
            stem = name.removesuffix(one)
            if stem != name and stem.rstrip("_") and stem + two in names:
                return column, names[stem + two]
    return None
