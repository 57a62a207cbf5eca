"""Which tasks a calibration suite holds: the factors, sizes and noise of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.task import Kind, Split
from groupbench_tasks.calibration import grammar
from groupbench_tasks.calibration.lexicon import Control

if TYPE_CHECKING:
    from groupbench_tasks.calibration.grammar import Rule

HELD_OUT_SIZES = {Split.DEV_A: 200, Split.DEV_B: 500, Split.TEST: 500}

METRICS = {
    Kind.SINGLE: ("accuracy", "f1_macro"),
    Kind.PAIR: ("accuracy", "f1_macro"),
    Kind.MULTILABEL: ("label_accuracy", "f1_macro"),
    Kind.TOKEN: ("entity_accuracy", "seqeval_f1"),
}
"""The primary metric is an accuracy in every kind, so that averages mean something."""


@dataclass(frozen=True)
class TaskDesign:
    """One task of a calibration suite."""

    name: str
    rule: Rule
    family: int
    """Which attribute the labels ask for."""
    difficulty: str
    """Name of its difficulty class."""
    domain: str
    noise: float
    """Share of labels of each class flipped, exactly, in each split."""
    n_train: int
    train_blocks: tuple[int, ...]
    """Blocks of the lexicon that train uses."""
    held_out_blocks: tuple[int, ...]
    """Blocks that dev-A, dev-B and test use."""
    planted_bits: bool = True
    """Whether the V-information of a single-task learner has a closed form."""

    @property
    def hidden(self) -> bool:
        """Whether training shows none of the words that are asked about."""
        return not set(self.train_blocks) & set(self.held_out_blocks)

    def size(self, split: Split) -> int:
        """Return how many examples a split has."""
        return self.n_train if split is Split.TRAIN else HELD_OUT_SIZES[split]

    def blocks(self, split: Split) -> tuple[int, ...]:
        """Return the blocks of the lexicon that a split uses."""
        return self.train_blocks if split is Split.TRAIN else self.held_out_blocks


@dataclass(frozen=True)
class SuiteDesign:
    """The tasks of a suite and the lexicon below them."""

    name: str
    note: str
    """What is planted, and what follows for PVI grouping: one line, shown with every result."""
    block_sizes: tuple[int, ...]
    controls: tuple[Control, ...]
    tasks: tuple[TaskDesign, ...]

    def __getitem__(self, name: str) -> TaskDesign:
        return next(task for task in self.tasks if task.name == name)


_BOTH = (0, 1)
_SHOWN = (0,)
_ASKED = (1,)


def _seen(  # noqa: PLR0913, PLR0917 - a row of the table below
    name: str, rule: Rule, family: int, difficulty: str, domain: str, noise: float, n_train: int
) -> TaskDesign:
    return TaskDesign(name, rule, family, difficulty, domain, noise, n_train, _BOTH, _BOTH)


def _hidden(name: str, rule: Rule, family: int, domain: str) -> TaskDesign:
    return TaskDesign(name, rule, family, "hidden", domain, 0.04, 120, _SHOWN, _ASKED)


CALIBRATION = SuiteDesign(
    name="calibration",
    note=(
        "Planted: difficulty, family and domain are three different partitions (a Latin square). "
        "Only family partners fill each other's gaps, and PVI sees difficulty, so PVI grouping "
        "cannot beat by-family or even random groups of its sizes here; see calibration-agree."
    ),
    block_sizes=(8, 24),
    controls=(Control(fitted=_SHOWN, judged=_ASKED, tolerance=0.04),),
    tasks=(
        _seen("f0_tag", grammar.TAG, 0, "clear", "harbour", 0.06, 400),
        _seen("f0_cue", grammar.CUE, 0, "noisy", "market", 0.12, 800),
        _hidden("f0_agent_h", grammar.AGENT, 0, "garden"),
        _seen("f1_pair", grammar.PAIR, 1, "clear", "market", 0.02, 600),
        _seen("f1_cue", grammar.CUE, 1, "noisy", "garden", 0.12, 800),
        _hidden("f1_cue_h", grammar.CUE, 1, "harbour"),
        _seen("f2_order", grammar.ORDER, 2, "clear", "garden", 0.02, 600),
        _seen("f2_multi", grammar.MULTI, 2, "noisy", "harbour", 0.12, 800),
        _hidden("f2_multi_h", grammar.MULTI, 2, "market"),
    ),
)
"""A Latin square of family, difficulty class and domain: no two tasks share two of the three."""

_THIRDS = (0, 1, 2)
_THIRD_SIZE = 8
_DOMAINS = tuple(grammar.DOMAINS)


def _agreeing(
    family: int, difficulty: str, noise: float, n_train: int, rules: tuple[tuple[str, Rule], ...]
) -> tuple[TaskDesign, ...]:
    """Return a family of one difficulty class; each task lacks another third of the lexicon."""
    return tuple(
        TaskDesign(
            name=f"a{family}_{name}_{_DOMAINS[(family + lost) % len(_DOMAINS)]}",
            rule=rule,
            family=family,
            difficulty=difficulty,
            domain=_DOMAINS[(family + lost) % len(_DOMAINS)],
            noise=noise,
            n_train=n_train,
            train_blocks=tuple(third for third in _THIRDS if third != lost),
            held_out_blocks=_THIRDS,
            planted_bits=False,  # partial coverage has no closed form
        )
        for lost, (name, rule) in enumerate(rules)
    )


AGREE = SuiteDesign(
    name="calibration-agree",
    note=(
        "Planted: difficulty and family are one partition, and family partners fill each other's "
        "gaps, so PVI grouping can find the best groups here; see calibration for the opposite."
    ),
    block_sizes=(_THIRD_SIZE,) * len(_THIRDS),
    controls=tuple(
        Control(tuple(third for third in _THIRDS if third != lost), (lost,), tolerance=0.13)
        for lost in _THIRDS
    ),
    tasks=(
        *_agreeing(0, "clear", 0.04, 320, (("tag", grammar.TAG),) * 3),
        *_agreeing(
            1,
            "noisy",
            0.10,
            640,
            (("cue", grammar.CUE), ("multi", grammar.MULTI), ("agent", grammar.AGENT)),
        ),
        *_agreeing(
            2,
            "faint",
            0.30,
            480,
            (("multi", grammar.MULTI), ("agent", grammar.AGENT), ("cue", grammar.CUE)),
        ),
    ),
)
"""Every family has one difficulty class; each of its tasks lacks another third of the words."""
