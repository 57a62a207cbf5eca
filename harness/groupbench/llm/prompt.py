"""What a model is sent about one example."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.canonical import Json
    from groupbench.llm.conversation import Message, Rendered
    from groupbench.llm.readers import Reason
    from groupbench.task import Input


@dataclass(frozen=True, slots=True)
class Question:
    """One thing asked: a prompt, and what may follow it."""

    text: str
    """Rendered, up to where the answer begins."""
    ids: tuple[int, ...] | None
    """Token ids to send. Scored: up to the first token in which labels may differ."""
    messages: tuple[Message, ...] | None
    """What to send where there are no ids."""
    n_tokens: int
    choices: Mapping[str, str] = field(default_factory=dict)
    """Scored and chosen: what each label looks like as an answer, separator included."""
    continuations: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Scored: token ids of each label after ``ids``."""
    spellings: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Chosen: token ids of each label after ``ids`` as the tokenizer spells it. Left out where a
    token spans prompt and label; empty where messages are sent."""
    rendered: Rendered | None = field(default=None, repr=False, compare=False)
    """What it was made of."""
    label: str | None = None
    """Multilabel, scored or chosen: the label asked about; choices are then yes and no."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is sent about one example, and what had to be left out."""

    id: str
    """The example's, or what a prompt without one is for."""
    questions: tuple[Question, ...]
    """Empty where nothing fits."""
    parts: Mapping[str, str]
    """The wording by part: instruction, labels, format, input, cue."""
    shots: tuple[str, ...]
    """Ids of the shots shown, in order."""
    given: Input
    """The input that is shown, after cutting."""
    max_tokens: int
    """Output cap."""
    shots_dropped: int = 0
    words_dropped: int = 0
    reason: Reason | None = None
    """`Reason.PROMPT_TOO_LONG`, or none."""
    schema: Mapping[str, Json] | None = None
    """In mode json."""

    @property
    def input_cut(self) -> bool:
        """Whether the input was shortened."""
        return self.words_dropped > 0

    @property
    def text(self) -> str:
        """The first question as it is rendered; empty where nothing fits."""
        return self.questions[0].text if self.questions else ""

    @property
    def n_tokens(self) -> int:
        """Tokens of all questions."""
        return sum(question.n_tokens for question in self.questions)
