"""Finding the columns of a token task: lists of words, and lists of as many BIO tags."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.authoring.columns import Form
from groupbench.cards.card import TAG
from groupbench.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from groupbench.authoring.columns import Column

WORDS = ("tokens", "words", "text", "sentence")
TAGS = ("tags", "ner_tags", "bio", "iob", "ner", "labels", "label")


@dataclass(frozen=True)
class Tagged:
    """The two columns, and how often each tag occurs."""

    words: str
    tags: str
    counts: dict[str, int]


def find_tagged(
    columns: Mapping[str, Column],
    words: str | None,
    tags: str | None,
    *,
    asked: bool,
    where: str,
) -> Tagged | None:
    """Return the columns of words and of BIO tags, if there are any.

    Args:
        columns: to choose from.
        words: the column that the user named for words.
        tags: likewise, for tags.
        asked: whether the user said that this is a token task.
        where: how messages call the data.

    Raises:
        CardError: it is meant to be one, or looks like one, and cannot be.
    """
    lists = {
        name: cells for name, column in columns.items() if (cells := column.lists(" ")) is not None
    }
    tagged = [name for name in _chosen(tags, lists, TAGS) if _all_tags(lists[name])]
    for name in tagged:
        for other in _chosen(words, lists, WORDS):
            if other != name and _as_long(lists[other], lists[name]):
                counts = Counter(tag for cell in lists[name] for tag in cell)
                return Tagged(other, name, dict(counts))
    if tagged:
        others = [n for n in _chosen(words, lists, WORDS) if n != tagged[0]]
        if others and (asked or columns[tagged[0]].form is Form.LIST):
            row = _first_longer(lists[others[0]], lists[tagged[0]])
            raise CardError(
                f"{where}: {tagged[0]} holds BIO tags, but row {row} (the first is 0) has"
                f" {len(lists[tagged[0]][row])} of them for {len(lists[others[0]][row])}"
                f" {others[0]}; give every word one tag."
            )
    wrong = next((n for n in _chosen(tags, lists, TAGS) if _looks_tagged(columns, n)), None)
    if asked and tags in lists:
        wrong = tags
    if wrong is not None:
        raise CardError(
            f"{where}: {wrong} holds what is no BIO tag; the tags of a token task are O, B-x and"
            " I-x, written out (numbers stand for tags that the data set lists elsewhere)."
        )
    if asked:
        raise CardError(
            f"{where}: has no column of BIO tags, only {', '.join(map(repr, columns))}; name it"
            " with --label-column."
        )
    return None


def tag_order(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags as cards list them: ``O``, then by type, ``B-`` before ``I-``.

    >>> tag_order(["I-b", "B-b", "O", "B-a"])
    ('O', 'B-a', 'B-b', 'I-b')
    """
    return tuple(sorted(set(tags), key=lambda tag: (tag != "O", tag[2:], tag)))


def _chosen(asked: str | None, there: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    if asked is not None:
        return [asked] if asked in there else []
    known = {name: at for at, name in enumerate(names)}
    return sorted(there, key=lambda name: known.get(name.lower(), len(known)))


def _all_tags(cells: Sequence[Sequence[Any]]) -> bool:
    kinds = {tag for cell in cells for tag in cell}
    return any(tag != "O" for tag in kinds) and all(
        isinstance(tag, str) and TAG.fullmatch(tag) for tag in kinds
    )


def _as_long(words: Sequence[Sequence[Any]], tags: Sequence[Sequence[Any]]) -> bool:
    return all(len(some) == len(others) for some, others in zip(words, tags, strict=True))


def _first_longer(words: Sequence[Sequence[Any]], tags: Sequence[Sequence[Any]]) -> int:
    return next(i for i, (w, t) in enumerate(zip(words, tags, strict=True)) if len(w) != len(t))


def _looks_tagged(columns: Mapping[str, Column], name: str) -> bool:
    """Return whether a column of lists is called tags and has a column of words beside it."""
    if columns[name].form is not Form.LIST or name.lower() not in TAGS[:5]:
        return False
    return any(word in columns and columns[word].form is Form.LIST for word in WORDS)
