"""Tasks and their examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Protocol, TypeAlias

from groupbench.canonical import digest_bytes
from groupbench.errors import CardError, DataError, HeldBackError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""What the name of a task, suite, strategy or runner looks like."""


class Kind(StrEnum):
    """What a task asks for."""

    SINGLE = "single"
    """One label for one text."""
    PAIR = "pair"
    """One label for two texts."""
    MULTILABEL = "multilabel"
    """Any number of labels for one text."""
    TOKEN = "token"  # noqa: S105 - a kind of task, not a secret
    """One BIO tag for each word."""


class Split(StrEnum):
    """A part of a task's data. Validation is divided into dev-A and dev-B."""

    TRAIN = "train"
    DEV_A = "dev-a"
    """Picks checkpoints and temperatures."""
    DEV_B = "dev-b"
    """Decides groupings."""
    TEST = "test"
    """Read once, for the leaderboard; strategies never see it."""


class DataClass(StrEnum):
    """Where a task's text may go (architecture.md, Store and data)."""

    OPEN = "open"
    CREDENTIALED = "credentialed"
    PRIVATE = "private"
    UNSTATED = "unstated"
    """Treated as private."""


Input: TypeAlias = str | tuple[str, ...]
"""single and multilabel: the text; pair: the two texts; token: the words."""

Gold: TypeAlias = int | tuple[int, ...] | None
"""single and pair: a label's index; multilabel: sorted indices; token: a tag's index a word."""


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a task."""

    id: str
    """The card's id column, else ``<split>-<row>``."""
    input: Input
    gold: Gold
    """``None`` where a runner must predict it."""
    cluster: str | None = None
    """Document or patient, where the card names the column."""

    @property
    def text(self) -> str:
        """The input as one string: pairs joined by a line break, words by a space."""
        if isinstance(self.input, str):
            return self.input
        return " ".join(self.input)

    @property
    def content_hash(self) -> str:
        """A hash of the input alone: equal texts have equal hashes."""
        return digest_bytes(repr(self.input).encode("utf-8", "surrogatepass"))

    def without_gold(self) -> Example:
        """Return this example as a runner sees it where it must predict."""
        return Example(self.id, self.input, None, self.cluster)


TaskData: TypeAlias = Mapping[Split, tuple[Example, ...]]
"""A task's examples by split. All four splits are there; dev-A and dev-B are already divided."""


class Loader(Protocol):
    """Loads a task's data when it is first asked for. Picklable; equal calls give equal data."""

    def __call__(self) -> TaskData:
        """Return the examples of every split.

        Raises:
            DataError: the data do not fit the card.
        """
        ...


@dataclass(frozen=True, slots=True)
class Planted:
    """What a generated task is known to hold. Strategies and runners never see it."""

    v_information_bits: float | None
    """In bits per label (single, pair, multilabel) or word (token); ``None`` where not planted."""
    difficulty_class: str | None
    family: str | None


@dataclass(frozen=True)
class Task:
    """One supervised problem: what is asked, of which data, judged by which metrics."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    """In the order that decides label indices."""
    metrics: tuple[str, ...]
    """The first one is what the leaderboard ranks by."""
    loader: Loader = field(repr=False, compare=False)
    domain: str = "unstated"
    summary: str = ""
    data_class: DataClass = DataClass.UNSTATED
    positive_label: str | None = None
    """The label whose F1 is ``f1_binary``."""
    excluded_labels: tuple[str, ...] = ()
    """Labels left out of an F1 average; predicting them wrongly still counts."""
    prompt: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Wording of prompts, part by part, where the card overrides it."""
    source: str = ""
    """Where the task was declared, for messages: a card's path or a plugin's name."""
    planted: Planted | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.loader, _Once):
            object.__setattr__(self, "loader", _Once(self.loader))
        if not NAME.fullmatch(self.name):
            raise CardError(
                f"{self.source or 'a task'}: name = {self.name!r} must match {NAME.pattern}."
            )
        if len(self.labels) < 1 or len(set(self.labels)) != len(self.labels):
            raise CardError(f"{self.where}: labels must be distinct and at least one.")
        if not self.metrics:
            raise CardError(f"{self.where}: metrics is empty; name at least one.")

    @property
    def where(self) -> str:
        """How messages call this task."""
        return f"{self.source} (task {self.name})" if self.source else f"task {self.name}"

    @property
    def primary_metric(self) -> str:
        """The metric that the leaderboard ranks by."""
        return self.metrics[0]

    @cached_property
    def data(self) -> TaskData:
        """The examples of every split, loaded once.

        Raises:
            DataError: the data do not fit the card.
        """
        return self.loader()

    def examples(self, split: Split) -> tuple[Example, ...]:
        """Return the examples of one split, in their order.

        Raises:
            DataError: the data do not fit the card.
            HeldBackError: the split is not for whoever asks.
        """
        if split not in self.data:
            raise DataError(f"{self.where}: there is no {split} split.")
        return self.data[split]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything about the task that can move a result; not of paths or metrics."""
        import msgspec

        content = [
            self.name,
            str(self.kind),
            list(self.labels),
            [
                [
                    str(split),
                    [[e.id, e.input, e.gold, e.cluster] for e in self.data.get(split, ())],
                ]
                for split in Split
            ],
        ]
        return digest_bytes(msgspec.json.encode(content))

    def blinded(self) -> Task:
        """Return this task as strategies see it: no planted truth, no test split."""
        return replace(self, planted=None, loader=_HeldBack(self.loader))

    def with_data(self, data: TaskData) -> Task:
        """Return this task over other examples, without the planted truth."""
        return replace(self, planted=None, loader=Materialised(data))


@dataclass(frozen=True)
class Materialised:
    """A loader of examples that are already there; what travels to a fit's process."""

    data: TaskData

    def __call__(self) -> TaskData:
        return self.data


class _Once:
    """A loader that loads once, so that a task and its blinded copies share one set of examples."""

    def __init__(self, load: Loader) -> None:
        self.load = load
        self._data: TaskData | None = None

    def __call__(self) -> TaskData:
        if self._data is None:
            self._data = self.load()
        return self._data

    def __reduce__(self) -> tuple[type[_Once], tuple[Loader]]:
        return _Once, (self.load,)


class _WithoutTest(dict[Split, tuple[Example, ...]]):
    """Task data in which asking for the test split is an error with a reason."""

    def __missing__(self, split: Split) -> tuple[Example, ...]:
        raise HeldBackError(
            f"A grouping strategy asked for the {split} split: groupings are decided on dev-B."
        )

    def __contains__(self, split: object) -> bool:
        return split in set(Split)


class _HeldBack:
    """Loads a task's data without its test split."""

    def __init__(self, load: Loader) -> None:
        self._load = load

    def __call__(self) -> TaskData:
        return _WithoutTest(
            {split: rows for split, rows in self._load().items() if split is not Split.TEST}
        )
