"""One world: a lexicon with its truth, and every task's examples, drawn from a seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from groupbench.task import Example, Kind, Split
from groupbench_tasks.calibration.grammar import DOMAINS, ORDINARY, WORDS
from groupbench_tasks.calibration.lexicon import draw_lexicon

if TYPE_CHECKING:
    import numpy as np

    from groupbench.predictions import IntArray
    from groupbench.task import Input
    from groupbench_tasks.calibration.design import SuiteDesign, TaskDesign
    from groupbench_tasks.calibration.lexicon import Lexicon


@dataclass(frozen=True, eq=False)
class Drawn:
    """One split of one task with what is true of it."""

    examples: tuple[Example, ...]
    true_values: IntArray
    """Values before noise, in the examples' order. ``[n, n_asked]``."""
    noisy_values: IntArray
    """Values that the gold labels say. ``[n, n_asked]``."""


@dataclass(frozen=True)
class World:
    """Everything drawn from one seed; equal on every machine."""

    seed: int
    design: SuiteDesign

    @cached_property
    def lexicon(self) -> Lexicon:
        """The invented words and their attributes."""
        return draw_lexicon(
            self.design.block_sizes, self.design.controls, ORDINARY, self._rng("lexicon")
        )

    def draw(self, task: str) -> dict[Split, Drawn]:
        """Draw every split of one task. No input occurs twice in it, across splits too."""
        design = self.design[task]
        rng = self._rng(task)
        used: set[Input] = set()
        return {split: self._draw_split(design, split, used, rng) for split in Split}

    def _rng(self, purpose: str) -> np.random.Generator:
        import numpy as np

        # a stream of its own for each purpose: a task can be drawn without the others
        return np.random.default_rng(
            [self.seed, zlib.crc32(f"{self.design.name}/{purpose}".encode())]
        )

    def _draw_split(
        self, design: TaskDesign, split: Split, used: set[Input], rng: np.random.Generator
    ) -> Drawn:
        import numpy as np

        rule, n = design.rule, design.size(split)
        inputs: list[Input] = []
        words, true = [], []
        for cell in rule.cells:
            chosen = self._choose_words(design, split, cell, n // len(rule.cells), rng)
            names = [tuple(self.lexicon.words[i] for i in row) for row in chosen]
            inputs += _write(design, names, used, rng)
            words.append(chosen[:, rule.asked])
            true.append(np.broadcast_to(np.array(cell)[list(rule.asked)], words[-1].shape))
        order = rng.permutation(n)
        asked, values = np.concatenate(words)[order], np.concatenate(true)[order]
        noisy = _flip(values, asked, design.noise, pooled=rule.kind is Kind.TOKEN, rng=rng)
        examples = tuple(
            Example(f"{split}-{row}", inputs[i], rule.gold(tuple(noisy[row].tolist())))
            for row, i in enumerate(order)
        )
        return Drawn(examples, values, noisy)

    def _choose_words(
        self,
        design: TaskDesign,
        split: Split,
        cell: tuple[int, ...],
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        """Return words with the attributes of ``cell``, each equally often. ``[n, n_words]``."""
        import numpy as np

        lexicon = self.lexicon
        allowed = np.array([i for b in design.blocks(split) for i in lexicon.blocks[b]])
        decks = []
        for value in cell:
            fitting = allowed[lexicon.attributes[allowed, design.family] == value]
            rounds = -(-n // len(fitting))
            decks.append(np.concatenate([rng.permutation(fitting) for _ in range(rounds)])[:n])
        if len(cell) > 1 and cell[0] == cell[1]:
            decks[1] = _without_ties(decks[0], decks[1], rng)
        return np.stack(decks, axis=1)


@lru_cache(maxsize=8)
def world_of(design: SuiteDesign, seed: int) -> World:
    """Return a world, kept so that its tasks share one lexicon."""
    return World(seed, design)


def _without_ties(first: IntArray, second: IntArray, rng: np.random.Generator) -> IntArray:
    """Return ``second`` reordered so that it differs from ``first`` in every place."""
    second = second.copy()
    while (ties := (first == second).nonzero()[0]).size:
        for i in ties:
            j = int(rng.integers(len(second)))
            second[i], second[j] = second[j], second[i]
    return second


def _write(
    design: TaskDesign, words: list[tuple[str, ...]], used: set[Input], rng: np.random.Generator
) -> list[Input]:
    """Write a sentence about each tuple of words; none is in ``used``, and all are added there."""
    rule = design.rule
    slots = [
        WORDS.index(slot) if slot in WORDS else DOMAINS[design.domain][slot] for slot in rule.slots
    ]
    widths = [1 if isinstance(slot, int) else len(slot) for slot in slots]
    picks = rng.integers(widths, size=(len(words), len(widths))).tolist()
    written: list[Input] = []
    for chosen, first in zip(words, picks, strict=True):
        pick = first
        while (text := rule.input(_fill(slots, chosen, pick))) in used:
            pick = rng.integers(widths).tolist()
        used.add(text)
        written.append(text)
    return written


def _fill(slots: list[int | tuple[str, ...]], words: tuple[str, ...], pick: list[int]) -> list[str]:
    """Return what fills each slot: a number stands for one of ``words``."""
    return [
        words[slot] if isinstance(slot, int) else slot[i]
        for slot, i in zip(slots, pick, strict=True)
    ]


def _flip(
    values: IntArray, words: IntArray, noise: float, *, pooled: bool, rng: np.random.Generator
) -> IntArray:
    """Flip exactly ``round(noise * n_c)`` values of each class ``c``, evenly over words.

    Spread by chance, the flips of a word in train would differ from those in dev, and the best of
    learners would fall .03 bits short of the closed form.

    Args:
        values: 0 or 1. ``[n, n_asked]``.
        words: the word that each value is an attribute of. ``[n, n_asked]``.
        noise: share to flip.
        pooled: count over all columns together (tags), else in each column (labels).
        rng: the source of randomness.
    """
    import numpy as np

    flipped = values.copy()
    columns = [flipped.reshape(-1)] if pooled else list(flipped.T)
    asked = [words.reshape(-1)] if pooled else list(words.T)
    for column, word in zip(columns, asked, strict=True):  # views: writing into one flips values
        members = [rng.permutation((column == value).nonzero()[0]) for value in (0, 1)]
        for value, found in enumerate(members):
            turns = np.zeros(len(found), dtype=int)
            for each in np.unique(word[found]):
                of_word = word[found] == each
                turns[of_word] = np.arange(of_word.sum())
            dealt = found[np.argsort(turns, kind="stable")]
            column[dealt[: round(noise * len(found))]] = 1 - value
    return flipped
