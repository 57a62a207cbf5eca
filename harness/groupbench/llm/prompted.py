"""The base of prompted runners: settings, prompts and reading are here, the model is a plugin's.

An outside provider's plugin is a `groupbench.llm.Model` and a runner that opens it::

    @dataclass(frozen=True)
    class MyRunner(PromptedRunner):
        name: ClassVar[str] = "mine"
        summary: ClassVar[str] = "models of my provider"

        model: str = field(default="large", metadata={"in_label": True})
        \"\"\"The provider's name of the model.\"\"\"

        def abilities(self) -> Abilities: ...
        def open(self, request: FitRequest) -> AbstractContextManager[Model]: ...

and `availability`, `place`, `resources` and `identity`, as every runner has them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from groupbench.canonical import to_json
from groupbench.errors import SettingError
from groupbench.llm.modes import AUTO, Mode, demand_mode
from groupbench.llm.prices import Price, Prices
from groupbench.llm.shots import MOST_SHOTS
from groupbench.llm.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from groupbench.canonical import Json
    from groupbench.estimates import Estimate
    from groupbench.grouping import Group
    from groupbench.llm.answered import StoredAnswers
    from groupbench.llm.model import Abilities, Model
    from groupbench.llm.preview import Preview
    from groupbench.llm.prompt import Prompt
    from groupbench.runner import FitRequest, FitResult, Place, Resources, TaskInput
    from groupbench.suite import Suite
    from groupbench.task import Example, Task

_MODULES = (
    *("answers", "asked", "beginnings", "boundaries", "budget", "builder", "chat"),
    *("conversation", "encoding"),
    *("entities", "fitting", "folding", "formats", "forms", "modes", "prompt", "prompted"),
    *(
        "prompter",
        "readers",
        "reads",
        "repeat",
        "schemas",
        "scores",
        "scoring",
        "shots",
        "spelling",
    ),
    *("spelling", "template", "tokenizer", "wording"),
)

DECIDING = (
    "groupbench.apportion",
    "groupbench.canonical",
    "groupbench.cards.prompt",
    *(f"groupbench.llm.{name}" for name in _MODULES),
)
"""Engine modules that decide what a prompted runner predicts."""


@dataclass(frozen=True)
class PromptedRunner(ABC):
    """A runner that asks a language model about each example; unless it trains one first.

    Subclasses are frozen dataclasses with a ``name`` and a ``summary``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    trains: ClassVar[bool] = False
    shares: ClassVar[bool] = False
    seeded: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = ("groupbench.llm.fitting",)
    deciding_modules: ClassVar[tuple[str, ...]] = DECIDING
    prices: ClassVar[Prices | None] = None
    """Of the run, once `priced`. No setting: prices decide no answer and are in no key."""

    model: str = field(default="", metadata={"in_label": True})
    """The model."""
    mode: Literal["auto", "score", "choice", "json", "text"] = "auto"
    """How answers are asked for; auto: the first of score, json and text that can be had."""
    shots: int = 0
    """Training examples that each prompt shows, 0 to 32."""
    shot_set: Literal["fixed", "per_example"] = "fixed"
    """Shots are the same for all examples of a seed, or drawn for each."""
    shots_as: Literal["turns", "inline"] = "turns"
    """Shots are turns of a chat, or text in its last turn."""
    label_order: Literal["card", "seeded"] = "card"
    """In which order prompts list the labels: the card's, or shuffled by the seed."""
    normalisation: Literal["sum", "per_token", "per_byte", "first_token"] = "sum"
    """What scores of labels are divided by; first_token: only that is compared."""
    calibration: Literal["none", "content_free", "pmi"] = "none"
    """What is taken off scores: the mean over empty inputs, or the score after the cue alone."""
    threshold: Literal["half", "fitted"] = "half"
    """From which probability on a scored label of a multilabel task holds; fitted: on dev-A."""
    on_long: Literal["cut", "refuse"] = "cut"
    """What becomes of an input that does not fit once no shot is left."""
    max_length: int | None = None
    """Tokens of prompt and answer; default: what the model can take."""
    max_output: int | None = None
    """Tokens of a written answer; the default fits the task."""
    salvage: bool = False
    """Keep the complete entities of an answer that is cut or broken."""
    repeat: int = 0
    """Ask so many test examples again at the end, and say how many answers were the same."""

    def __post_init__(self) -> None:
        if not 0 <= self.shots <= MOST_SHOTS:
            raise ValueError(f"shots = {self.shots} is not one of 0 to {MOST_SHOTS}")
        if self.repeat < 0:
            raise ValueError(f"repeat = {self.repeat} is below 0")
        for name in ("max_length", "max_output"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value} must be at least 1")
        if not self.trains and self.shots == 0 and self.label_order == "card":
            # Nothing is drawn: one seed stands for all, and is computed once.
            object.__setattr__(self, "seeded", False)

    @abstractmethod
    def availability(self) -> str | None:
        """Return why it cannot run here, with the mend; ``None`` if it can."""

    @abstractmethod
    def place(self) -> Place:
        """Return where its settings send text."""

    @abstractmethod
    def resources(self, group: Group, suite: Suite) -> Resources:
        """Return what one fit of ``group`` needs."""

    @abstractmethod
    def identity(self) -> Mapping[str, Json]:
        """Return what else decides its results: the model's hash or snapshot, dtype, engine."""

    @abstractmethod
    def abilities(self) -> Abilities:
        """Return what decides the prompts, without weights, a server or a request.

        Raises:
            GroupbenchError: it cannot be known here; the message says what is missing.
        """

    @abstractmethod
    def open(self, request: FitRequest) -> AbstractContextManager[Model]:
        """Return the model for one fit; leaving the context frees it."""

    def reasoning_reserve(self) -> int:
        """Return tokens added to output caps, for a model that thinks before it answers."""
        return 0

    def demand_writable(self) -> None:
        """Make sure that answers can be kept, before one is asked for.

        Override it where no server is asked.

        Raises:
            StoreError: the response store cannot be used.
        """
        from groupbench.llm.responses import ResponseStore, default_path

        ResponseStore(default_path()).close()

    def priced(self, prices: Prices) -> Self:
        """Return this runner with the prices of a run, which go to its fits' processes too."""
        made = replace(self)
        object.__setattr__(made, "prices", prices)
        return made

    def price(self) -> Price | None:
        """Return what the model costs; ``None`` where that is not known.

        Found by ``model``; for what runs on this machine its hours count too. Override it where
        another name, or a cheaper way of delivery, decides.
        """
        from groupbench.runner import Place

        prices = self.prices or Prices.load()
        return prices.here(self.model) if self.place() is Place.LOCAL else prices.get(self.model)

    def estimate(self, tasks: Sequence[TaskInput], seed: int) -> Estimate:
        """Return about what a fit sends and what that costs; nothing is sent.

        Raises:
            GroupbenchError: a task cannot be asked about, or something is missing here.
        """
        from groupbench.llm.estimating import estimate

        return estimate(self, tasks, seed)

    def stored_answers(self) -> StoredAnswers | None:
        """Return where answers of this model are looked for; ``None``: that cannot be known.

        A provider's plugin overrides it. Keys hold what a server says of itself, so that there is
        none for a server that was never used from here.
        """
        return None

    def n_answered(self, prompts: Sequence[Prompt]) -> int:
        """Return how many of these prompts the response store answers, so that they cost nothing.

        Raises:
            StoreError: the response store cannot be read.
        """
        stored = self._stored_answers
        return 0 if stored is None else stored.count(prompts)

    @cached_property
    def _stored_answers(self) -> StoredAnswers | None:
        return self.stored_answers()

    def task_identity(self, task: Task) -> Json:
        """Return the wording of a task's prompts, which its fingerprint does not hold.

        Raises:
            CardError: the wording cannot be used.
            SettingError: such a task cannot be asked in this mode.
        """
        if self.mode != AUTO:
            try:
                demand_mode(Mode(self.mode), task.kind)
            except SettingError as problem:
                raise SettingError(
                    f"runner {self.name}, task {task.name}: {problem} mode = 'auto' fits each task."
                ) from None
        told = asdict(Wording.of(task))
        del told["warnings"]
        return to_json(told)

    def preview(self, given: TaskInput, example: Example, seed: int) -> Preview:
        """Return exactly what a fit sends about one of the examples that it predicts."""
        from groupbench.llm.preview import preview

        return preview(self, given, example, seed)

    def fit(self, request: FitRequest) -> FitResult:
        """Ask about every example that is to be predicted.

        Raises:
            SettingError: the model cannot be asked in this mode.
            PolicyError: more would be spent than may be.
        """
        from groupbench.llm.fitting import fit

        return fit(self, request)
