"""Cutting splits from the train file of a card, where the data come as one file or lack a split.

Equal inputs stay together, as the rows of a cluster do: a copy of a test text is no test. A text's
place hangs on a hash of it. So the order of the rows does not matter, more rows move few others,
and a text that two tasks share is nearly always in the same split of both: what one trains on is
not what the other is tested on.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

from groupbench.cards.file import check_choice
from groupbench.cards.formats import short
from groupbench.cards.paths import SPLITS
from groupbench.errors import CardError, DataError
from groupbench.splits import stratum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.task import Example, Kind

SEED = "seed"
"""The key of a card's ``[divide]`` table that is no split."""


def check_divide(table: Mapping[str, float], files: Mapping[str, object], where: str) -> None:
    """Raise `CardError` unless ``[divide]`` gives train and another split shares that sum to 1."""
    for key, value in table.items():
        check_choice(key, (*SPLITS, SEED), f"[divide] {key} = {value!r}: the key", where)
        if key == SEED:
            if not (value >= 0 and float(value).is_integer()):
                raise CardError(f"{where}: [divide] seed = {value!r}: expected a whole number.")
        elif not 0 < value < 1:
            raise CardError(f"{where}: [divide] {key} = {value!r}: expected a share, such as 0.15.")
        elif key != "train" and key in files:
            raise CardError(
                f"{where}: {key} is in [divide] and has a file of its own, [files] {key} ="
                f" {short(files[key])}; keep one."
            )
    shares = shares_of(table)
    if table and ("train" not in shares or len(shares) == 1):
        raise CardError(
            f"{where}: [divide] names {', '.join(shares) or 'no split'}; it cuts the train file"
            " into train and validation, test or both, so give each its share."
        )
    if shares and not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise CardError(
            f"{where}: the shares of [divide] sum to {sum(shares.values()):g}; they must sum to 1."
        )


def shares_of(table: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each split that is cut from the train file, in the splits' order."""
    return {split: table[split] for split in SPLITS if split in table}


def divided(
    rows: Sequence[Example], kind: Kind, table: Mapping[str, float], where: str
) -> dict[str, tuple[Example, ...]]:
    """Return the examples of each split that ``table``, a card's ``[divide]``, names.

    Clusters stay whole; where there is none, rows whose texts differ in case, punctuation and
    spacing alone do. In each stratum (`groupbench.splits.stratum`; small ones are pooled), such
    units are sorted by a hash of their text and the seed, and cut where the shares say.

    Raises:
        DataError: there are too few rows, or clusters, for each split to have some.
    """
    shares = shares_of(table)
    units: dict[str, list[Example]] = defaultdict(list)
    for row in rows:
        units[_unit(row)].append(row)
    strata: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, members in units.items():
        held = Counter(stratum(kind, row) for row in members)
        strata[max(held, key=lambda s: (held[s], s))].append(name)
    small = [s for s, names in strata.items() if len(names) * min(shares.values(), default=1) < 1]
    pooled = [name for s in small for name in strata.pop(s)]
    split_of: dict[str, str] = {}
    for names in (*strata.values(), pooled):
        names.sort(key=lambda name: _hash(name, int(table.get(SEED, 0))))
        split_of |= _cut(names, [len(units[name]) for name in names], shares)
    splits = {split: tuple(r for r in rows if split_of[_unit(r)] == split) for split in shares}
    for split, part in splits.items():
        if not part:
            raise DataError(
                f"{where}: has too few rows that may be parted (copies, documents and patients"
                f" stay whole) for [divide] {split} = {shares[split]:g}; add rows, or give {split}"
                " a file."
            )
    return splits


def _unit(row: Example) -> str:
    """Return what a row may not be parted from: its cluster, or the copies of its text."""
    from groupbench.execute import comparable  # the one notion of a copy

    return row.cluster if row.cluster is not None else comparable(row.text) or row.text


def _hash(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _cut(names: Sequence[str], sizes: Sequence[int], shares: Mapping[str, float]) -> dict[str, str]:
    """Return the split of each unit, as its middle falls on the line of all rows."""
    ends = list(accumulate(shares.values()))
    total, before = sum(sizes), 0
    split_of = {}
    for name, size in zip(names, sizes, strict=True):
        # Rounded, so that ties are ties whatever the shares' binary digits are.
        middle = round((before + size / 2) / total, 9)
        at = sum(middle >= round(end, 9) for end in ends[:-1])
        split_of[name] = list(shares)[at]
        before += size
    return split_of
