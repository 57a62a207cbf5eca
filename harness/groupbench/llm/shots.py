"""Shots: the training examples that a prompt shows, with their answers."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from groupbench.canonical import digest
from groupbench.cards.prompt import answer_names
from groupbench.errors import SettingError
from groupbench.llm.folding import text_key
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from groupbench.task import Example, Task

MOST_SHOTS = 32
"""More are not worth their tokens."""

NOTHING = ""
"""The stratum of examples without any label: no name of a label is empty."""


def pick_shots(  # noqa: PLR0913 - what a draw is a function of
    task: Task,
    train: Iterable[Example],
    k: int,
    *,
    seed: int,
    avoid: Iterable[Example] = (),
    too_long: Callable[[Example], bool] | None = None,
    example_id: str | None = None,
) -> tuple[Example, ...]:
    """Return ``k`` shots, or as many as there are. See `ShotPool`, which draws more than once."""
    pool = ShotPool(task, train, avoid=avoid, too_long=too_long)
    return pool.pick(k, seed=seed, example_id=example_id)


class ShotPool:
    """Training examples of a task that may be shown, and draws from them.

    A draw is a function of (seed, task, k), and of the example's id where shots are drawn for each
    example; not of the order of ``train``. Left out are texts that occur among ``avoid`` (compared
    by `text_key`), and repeated texts but one.

    - single, pair: as even over labels as ``k`` allows.
    - multilabel: the label shown least so far comes next; no label at all counts as one.
    - token: every entity type, then one sentence without entities, then types evenly.
    """

    def __init__(
        self,
        task: Task,
        train: Iterable[Example],
        *,
        avoid: Iterable[Example] = (),
        too_long: Callable[[Example], bool] | None = None,
    ) -> None:
        """Make the pool.

        Args:
            task: whose labels are to be shown.
            train: of the train split only, with golds.
            avoid: the examples to be predicted, of every split.
            too_long: whether a shot would take more than its share of the budget, 1/k of it. It
                is asked of examples that were drawn, not of all.
        """
        self._task = task
        self._too_long = too_long or (lambda _: False)
        taken = {text_key(e.text) for e in avoid}
        pool: dict[str, Example] = {}
        for key, example in sorted(
            ((text_key(e.text), e) for e in train),
            key=lambda item: (item[0], item[1].content_hash, repr(item[1].gold)),
        ):
            if key not in taken and example.gold is not None:
                pool.setdefault(key, example)
        self._strata = {e.id: strata(task, e) for e in pool.values()}
        self._pool = tuple(pool.values())

    def __len__(self) -> int:
        return len(self._pool)

    def pick(self, k: int, *, seed: int, example_id: str | None = None) -> tuple[Example, ...]:
        """Return ``k`` shots in the order in which they are shown, or as many as there are.

        Args:
            k: 0 to `MOST_SHOTS`.
            seed: of the draw.
            example_id: ``None``: one draw for all examples, which keeps their prefix the same.

        Raises:
            SettingError: ``k`` is out of range.
        """
        if not 0 <= k <= MOST_SHOTS:
            raise SettingError(f"shots = {k} is not one of 0 to {MOST_SHOTS}.")
        key = ["shots", seed, self._task.name, k, *([] if example_id is None else [example_id])]
        rng = random.Random(int(digest(key), 16))  # noqa: S311 - a draw, not a secret
        shuffled = rng.sample(self._pool, len(self._pool))
        if self._task.kind is Kind.TOKEN:
            shots = self._cover_types(shuffled, k, rng)
        else:
            shots = self._spread(shuffled, k, rng, [])
        return tuple(rng.sample(shots, len(shots)))

    def _cover_types(self, pool: list[Example], k: int, rng: random.Random) -> list[Example]:
        missing = set(answer_names(Kind.TOKEN, self._task.labels))
        shots: list[Example] = []
        while len(shots) < k and missing:
            best = max(pool, key=lambda e: len(missing & self._strata[e.id]), default=None)
            if best is None or not missing & self._strata[best.id]:
                break
            pool.remove(best)
            if not self._too_long(best):
                shots.append(best)
                missing -= self._strata[best.id]
        if len(shots) < k:
            empty = (e for e in pool if NOTHING in self._strata[e.id] and not self._too_long(e))
            shots += [e for e in [next(empty, None)] if e is not None]
        full = [e for e in pool if NOTHING not in self._strata[e.id]]
        return self._spread(full, k, rng, shots)

    def _spread(
        self, pool: list[Example], k: int, rng: random.Random, shots: list[Example]
    ) -> list[Example]:
        """Add shots from the end of ``pool`` until there are ``k``, the rarest stratum first."""
        queues: dict[str, list[Example]] = defaultdict(list)
        for example in pool:
            for stratum in self._strata[example.id]:
                queues[stratum].append(example)
        order = rng.sample(sorted(queues), len(queues))
        shown = Counter(stratum for e in shots for stratum in self._strata[e.id])
        used = {e.id for e in shots}
        while len(shots) < k:
            open_ = [stratum for stratum in order if queues[stratum]]
            if not open_:
                break
            example = queues[min(open_, key=lambda stratum: shown[stratum])].pop()
            if example.id in used or self._too_long(example):
                continue
            used.add(example.id)
            shots.append(example)
            shown.update(self._strata[example.id])
        return shots


def strata(task: Task, example: Example) -> frozenset[str]:
    """Return the labels that an example shows: entity types of a token task, `NOTHING` for none.

    Raises:
        ValueError: it has no gold label.
    """
    gold = example.gold
    if gold is None:
        raise ValueError(f"example {example.id} has no gold label to show")
    if isinstance(gold, int):
        return frozenset({task.labels[gold]})
    labels = [task.labels[i] for i in gold if i >= 0]
    if task.kind is Kind.TOKEN:
        labels = [tag[2:] for tag in labels if tag != "O"]
    return frozenset(labels) or frozenset({NOTHING})


def drop_order(strata_of: Sequence[frozenset[str]]) -> tuple[int, ...]:
    """Return in which order shots are given up: from the end, one per label at a time.

    Each is the last one of a label that has most shots left, so that what stays is as even as it
    was.

    >>> a, b = frozenset("a"), frozenset("b")
    >>> drop_order([a, b, b, a])
    (3, 2, 1, 0)
    >>> drop_order([b, b, a])
    (1, 2, 0)
    """
    left = list(range(len(strata_of)))
    order = []
    while left:
        counts = Counter(stratum for i in left for stratum in strata_of[i])
        weight = {i: max(counts[stratum] for stratum in strata_of[i]) for i in left}
        worst = max(left, key=lambda i: (weight[i], i))
        left.remove(worst)
        order.append(worst)
    return tuple(order)
