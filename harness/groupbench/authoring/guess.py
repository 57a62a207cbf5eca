"""What the columns of a new task are for: decided where the data tell, said where they do not.

Names count first, then what the cells hold. Nothing here looks at which rows are test rows other
than to list labels.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from groupbench.authoring.columns import MEAN_WORDS, NUMBER, Column, Form
from groupbench.authoring.doubts import Doubt, label_doubts
from groupbench.authoring.identity import cluster_doubts, id_column
from groupbench.authoring.names import LABEL_NAMES, TEXT_NAMES, pair_of, rank, ranked
from groupbench.authoring.roles import Guess
from groupbench.authoring.tagged import find_tagged, tag_order
from groupbench.errors import CardError
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from groupbench.authoring.roles import Asked

MAX_LABELS = 200
"""More different values than this are no labels."""


def guess(columns: Mapping[str, Column], asked: Asked, where: str) -> Guess:
    """Return what the columns are for.

    Args:
        columns: of all splits together, in the file's order.
        asked: what the user said; it is not doubted.
        where: how messages call the data.

    Raises:
        CardError: the data are of no kind of task, or the user must say which column is meant.
    """
    return _Guesser(columns, asked, where).guess()


def label_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels sorted: numbers by value, else as text.

    >>> label_order(["10", "9"]), label_order(["b", "a"])
    (('9', '10'), ('a', 'b'))
    """
    labels = set(labels)
    if all(map(NUMBER.fullmatch, labels)):
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    return tuple(sorted(labels))


class _Guesser:
    def __init__(self, columns: Mapping[str, Column], asked: Asked, where: str) -> None:
        self.columns, self.asked, self.where = columns, asked, where
        for name, option in (
            *((text, "--text-column") for text in asked.texts),
            (asked.label, "--label-column"),
            (asked.id, "--id-column"),
            (asked.cluster, "--cluster-column"),
        ):
            if name is not None and name not in columns:
                raise self._error(
                    f"has no column {name!r} ({option}) in every split, only"
                    f" {', '.join(map(repr, columns)) or 'none'}."
                )
        self.found: dict[str, str] = {}
        self.why: dict[str, str] = {}
        self.doubts: list[Doubt] = []

    def guess(self) -> Guess:
        self._find_id()
        self._find_cluster()
        kind = self.asked.kind
        if kind in {None, Kind.TOKEN} and (tagged := self._tagged(asked=kind is Kind.TOKEN)):
            return tagged
        label = self._label_column(several=kind is Kind.MULTILABEL)
        parts = self._several(label, asked=kind is Kind.MULTILABEL)
        texts = self._text_columns(label, pair=kind is Kind.PAIR, alone=parts is not None)
        self.found["text"] = texts[0]
        if parts is not None:
            self.found["labels"] = label.name
            self.why["labels"] = self.why.pop("label")
            self.why.setdefault("kind", f"{label.name} holds lists of labels")
            return self._done(Kind.MULTILABEL, Counter(p for cell in parts for p in set(cell)))
        self.found["label"] = label.name
        if kind is Kind.SINGLE or len(texts) == 1:
            self.why.setdefault("kind", "one text, one label")
            return self._done(Kind.SINGLE, Counter(map(str, label.filled)))
        self.found["text_pair"] = texts[1]
        self.why.setdefault("kind", f"{texts[0]} and {texts[1]} are two texts")
        return self._done(Kind.PAIR, Counter(map(str, label.filled)))

    def _done(self, kind: Kind, counts: Mapping[str, int]) -> Guess:
        if self.asked.kind is not None:
            self.why["kind"] = "as you said"
        labels = tag_order(counts) if kind is Kind.TOKEN else label_order(counts)
        doubts = [*self.doubts, *label_doubts(kind, labels, counts)]
        return Guess(kind, self.found, labels, counts, self.why, doubts)

    def _tagged(self, *, asked: bool) -> Guess | None:
        taken = {*self.found.values()}
        free = {name: column for name, column in self.columns.items() if name not in taken}
        words = self.asked.texts[0] if self.asked.texts else None
        found = find_tagged(free, words, self.asked.label, asked=asked, where=self.where)
        if found is None:
            return None
        self.found |= {"tokens": found.words, "tags": found.tags}
        self.why["kind"] = f"{found.tags} holds one BIO tag for each word of {found.words}"
        return self._done(Kind.TOKEN, found.counts | {"O": found.counts.get("O", 0)})

    def _find_id(self) -> None:
        if self.asked.id is None:
            name = id_column(self._free())
        else:
            name = self.asked.id
            if not self.columns[name].unique:
                raise self._error(
                    f"--id-column {name}: ids must be there in every row and all be different."
                )
        if name is not None:
            self.found["id"] = name
            self.why["id"] = "as you said" if self.asked.id else "no two rows are alike in it"

    def _find_cluster(self) -> None:
        if self.asked.cluster is None:
            self.doubts += cluster_doubts(self._free())
        else:
            self.found["cluster"] = self.asked.cluster
            self.why["cluster"] = "as you said"

    def _free(self) -> list[Column]:
        """Return the columns that have no use yet."""
        used = {*self.asked.texts, self.asked.label, self.asked.id, self.asked.cluster}
        used |= set(self.found.values())
        return [column for name, column in self.columns.items() if name not in used]

    def _label_column(self, *, several: bool) -> Column:
        if self.asked.label is not None:
            self.why["label"] = "as you said"
            return self._judged(self.columns[self.asked.label])
        free = self._free()
        fit = [c for c in free if self._may_label(c)]
        by_name = ranked(free, LABEL_NAMES)
        best = next((c for c in by_name if c in fit), None)
        if best is None and by_name and (by_name[0].name.lower() in LABEL_NAMES):
            self.why["label"] = "by its name"
            return self._judged(by_name[0])  # says what is wrong with it
        if best is not None:
            self.why["label"] = "by its name"
            others = [c.name for c in by_name if c in fit and c is not best]
            if others:
                self._doubt(
                    "other-label",
                    f"{', '.join(others)} could be the label too; say"
                    f" --label-column {others[0]} if it is.",
                )
            return self._judged(best)
        if len(fit) == 1:
            self.why["label"] = "the only column of few different values"
            return self._judged(fit[0])
        flags = [c.name for c in fit if {str(v) for v in c.distinct} <= {"0", "1"}]
        if several or len(flags) > 2:  # noqa: PLR2004 - two flags may be two tasks
            raise self._error(
                f"has no column of labels, but {len(flags)} of 0 and 1; join them in one column of"
                " lists of names, or name one with --label-column."
            )
        if fit:
            raise self._error(
                f"has several columns that may be the label: {', '.join(c.name for c in fit)}; name"
                " one with --label-column."
            )
        raise self._error(
            f"has no column that looks like labels, only {', '.join(map(repr, self.columns))}; name"
            " it with --label-column."
        )

    def _may_label(self, column: Column) -> bool:
        if column.form is Form.LIST:
            return True
        n = len(column.distinct)
        return (
            column.form in {Form.TEXT, Form.WHOLE, Form.TRUTH}
            and not column.real
            and 1 < n <= MAX_LABELS
            and 2 * n <= max(len(column.cells), 4)
        )

    def _judged(self, label: Column) -> Column:
        """Return a label column that can be one, or say why it cannot."""
        if label.form is Form.REAL or (label.real and len(label.distinct) > MAX_LABELS // 10):
            raise self._error(
                f"{label.name} holds numbers with a point: a quantity, and groupbench predicts"
                " labels. Cut it into classes, or name another column with --label-column."
            )
        if label.form in {Form.MIXED, Form.EMPTY}:
            raise self._error(
                f"{label.name} holds {'nothing' if label.form is Form.EMPTY else 'mixed values'};"
                " labels are texts, whole numbers, or lists of them."
            )
        return label

    def _several(self, label: Column, *, asked: bool) -> list[list[str]] | None:
        """Return each row's labels where a row may have several; check that they are labels."""
        parts = None
        if self.asked.kind in {None, Kind.MULTILABEL}:
            parts = label.lists("|")
            if label.form is not Form.LIST and not asked and parts is not None:
                pieces = {piece for cell in parts for piece in cell}
                joined = sum(len(cell) > 1 for cell in parts)
                if not joined or len(pieces) > len(label.distinct) or len(pieces) > MAX_LABELS:
                    parts = None
        elif label.form is Form.LIST:
            raise self._error(
                f"{label.name} holds lists, which is --kind multilabel or token, not"
                f" {self.asked.kind}."
            )
        if asked and parts is None:
            raise self._error(f"{label.name} holds no lists of labels (as text: joined by '|').")
        values = {str(v) for cell in parts for v in cell} if parts is not None else label.distinct
        if len(values) > MAX_LABELS or (
            parts is None and len(label.cells) > 20 and 2 * len(values) > len(label.cells)  # noqa: PLR2004 - a handful of rows says nothing
        ):
            raise self._error(
                f"{label.name} holds {len(values)} different values in {len(label.cells)} rows:"
                f" free text or a quantity rather than labels (at most {MAX_LABELS}). Name another"
                " column with --label-column."
            )
        if parts is None and label.n_missing:
            raise self._error(
                f"{label.name} is empty in {label.n_missing} of {len(label.cells)} rows; give them"
                " a label or drop them (an empty list says: none)."
            )
        if parts is None:
            return None
        return [[str(value) for value in cell] for cell in parts]

    def _text_columns(self, label: Column, *, pair: bool, alone: bool) -> tuple[str, ...]:
        if self.asked.texts:
            self.why["text"] = "as you said"
            if pair and len(self.asked.texts) == 1:
                raise self._error("a pair has two texts; give --text-column twice.")
            most = 1 if alone or self.asked.kind is Kind.SINGLE else 2
            if len(self.asked.texts) > most:
                raise self._error(
                    f"--text-column is given {len(self.asked.texts)} times; a pair has two texts"
                    " and one label, other tasks have one text."
                )
            return self.asked.texts
        texts = {n: c for n, c in self.columns.items() if c is not label and self._may_read(c)}
        if not texts:
            raise self._error(
                f"has no column of texts beside {label.name}, only"
                f" {', '.join(map(repr, self.columns))}; name it with --text-column."
            )
        two = pair_of(texts.values())
        if two is None and pair and len(texts) == 2:  # noqa: PLR2004 - a pair
            first, second = texts
            two = first, second
        if two is not None and self.asked.kind in {None, Kind.PAIR}:
            self.why["text"] = "by their names" if not pair else "the two columns of texts"
            self._say_other_texts(texts, two)
            return two
        if pair:
            raise self._error(
                f"has {len(texts)} columns of texts ({', '.join(texts)}); say which are the pair"
                " with --text-column, twice."
            )
        called = ranked(texts.values(), TEXT_NAMES)
        best = called[0].name if called else max(texts, key=lambda name: texts[name].mean_words)
        self.why["text"] = "by its name" if called else "the longest texts"
        if len(texts) == 1:
            self.why["text"] = "the only column of texts"
        self._say_other_texts(texts, (best,))
        return (best,)

    def _say_other_texts(self, texts: Mapping[str, Column], chosen: tuple[str, ...]) -> None:
        others = [name for name in texts if name not in chosen]
        if others and len(chosen) == 1:
            self._doubt(
                "other-text",
                f"{', '.join(others)} could be the text too, or the second of a pair:"
                f" --text-column {chosen[0]} --text-column {others[0]}.",
            )
        elif others:
            self._doubt("other-text", f"{', '.join(others)} could be a text too (--text-column).")

    def _may_read(self, column: Column) -> bool:
        if column.form is not Form.TEXT or column.whole or column.real:
            return False
        if column.name in self.found.values():
            return False
        return column.mean_words >= MEAN_WORDS or rank(column, TEXT_NAMES) is not None

    def _doubt(self, code: str, text: str) -> None:
        self.doubts.append(Doubt(code, text))

    def _error(self, problem: str) -> CardError:
        return CardError(f"{self.where}: {problem}")
