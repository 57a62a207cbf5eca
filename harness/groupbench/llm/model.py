"""Language models as prompted runners use them: what a provider's plugin implements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from groupbench.calls import Calls
    from groupbench.canonical import Json
    from groupbench.llm.answers import Said
    from groupbench.llm.conversation import Form
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.readers import Reason
    from groupbench.llm.reads import LabelReads


@dataclass(frozen=True, slots=True)
class Abilities:
    """What decides a model's prompts, and can be known before any weights are loaded."""

    form: Form
    """How conversations become what is sent."""
    limit: int
    """Tokens of prompt and answer together."""
    capabilities: frozenset[str]
    """Named as in `groupbench.llm.modes.NEEDS`."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a model did in one fit."""

    usd: float = 0.0
    n_parameters: int = 0
    """0: not known."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """For the record: tokens, requests, latency, what answered."""
    calls: Calls | None = None
    """What the leaderboard shows of it: tokens, dollars, latency. ``None``: only ``usd``."""


class Model(Protocol):
    """A language model at work, for one fit.

    Prompts are taken as they are needed and answers given as they come, so that memory does not
    grow with their number. Answers are in the order of the prompts, one for each; those that a
    server refuses have a reason instead. What a server fails to answer is raised, never a score.

    One that keeps answers has ``anew() -> Model`` too, which asks what is kept once more.
    """

    @property
    def abilities(self) -> Abilities:
        """What it was found to be able to do."""
        ...

    def read(self, prompts: Iterable[Prompt]) -> Iterator[tuple[LabelReads, ...] | Reason]:
        """Yield, for each prompt, what was read of the labels of each of its questions.

        Only asked of a model that can do `Mode.SCORE`. Log-probabilities are in nats, of the raw
        logits, in the order of `Question.continuations`.

        Raises:
            PolicyError: the next call might pass what may be spent.
        """
        ...

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[tuple[Said, ...] | Reason]:
        """Yield, for each prompt, what was said to each of its questions: the likeliest answer.

        At most `Prompt.max_tokens`, up to an end mark of the model or a text of `Form.stop`. An
        answer is one of `Question.choices` where there are any, and fits `Prompt.schema` if there
        is one.

        Raises:
            PolicyError: the next call might pass what may be spent.
        """
        ...

    def use(self) -> ModelUse:
        """Return what was done so far."""
        ...
