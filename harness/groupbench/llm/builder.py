"""From an example to what a model is sent: wording, shots, budget and rendering put together.

A prompt asks one question, or, where labels of a multilabel task are scored or chosen, one for each
label: those share instruction, shots and input, so that each costs a server little more than its
last line. Shots of such prompts ask about one label each, in turn one that is there and one that is
not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from groupbench.canonical import digest
from groupbench.errors import SettingError
from groupbench.llm.budget import OnLong, fit_budget, reserve
from groupbench.llm.conversation import Conversation
from groupbench.llm.formats import answer_text, format_text
from groupbench.llm.modes import Mode, demand_mode
from groupbench.llm.prompt import Prompt, Question
from groupbench.llm.readers import Reason
from groupbench.llm.schemas import answer_schema, output_cap
from groupbench.llm.shots import NOTHING, strata
from groupbench.llm.wording import NO, YES
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from groupbench.llm.conversation import Form, Rendered
    from groupbench.llm.wording import Wording
    from groupbench.task import Example, Input, Task

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Inputs that say nothing, of Zhao et al. 2021."""


class _Shown(NamedTuple):
    """Shots as prompts show them."""

    shots: tuple[Example, ...]
    pairs: tuple[tuple[str, str], ...]
    """What is asked, and the answer."""
    strata: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class PromptBuilder:
    """Makes the prompts of one task.

    >>> from groupbench.llm import MessagesForm, Mode, Wording
    >>> from groupbench.task import Example, Kind, Task
    >>> task = Task("mood", Kind.SINGLE, ("bad", "good"), ("accuracy",), loader=dict)
    >>> builder = PromptBuilder(task, Wording.of(task), Mode.TEXT, MessagesForm(), limit=4096)
    >>> print(builder.build(Example("a", "It works.", None)).text)
    [system]
    Classify the sentence.
    Answer with one of: bad, good.
    <BLANKLINE>
    [user]
    Sentence: It works.
    Answer:
    <BLANKLINE>
    """

    task: Task
    wording: Wording
    mode: Mode
    form: Form
    limit: int
    """Tokens of prompt and answer together: the smaller of model context and server's limit."""
    on_long: OnLong = OnLong.CUT
    seed: int = 0
    """Decides which label each shot asks about, where labels are asked about one by one."""
    reasoning_reserve: int = 0
    """Tokens added to the output cap, for models that think before they answer."""
    max_output: int | None = None
    """Tokens of an answer that is written, in place of the cap that fits the task."""
    _fixed: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The parts that are equal in all prompts, once they are known."""
    _shown: list[_Shown] = field(default_factory=list, init=False, repr=False, compare=False)
    """The shots that were shown last."""

    def __post_init__(self) -> None:
        demand_mode(self.mode, self.task.kind)
        if self.limit < 1:
            raise SettingError(f"limit = {self.limit}: a prompt needs at least one token.")

    def build(self, example: Example, shots: Sequence[Example] = ()) -> Prompt:
        """Return the prompt of one example.

        Args:
            example: its gold is not looked at.
            shots: training examples to show, in order.

        Raises:
            SettingError: the model's template cannot be used in this mode.
        """
        return self._fit(example.id, example.input, tuple(shots))

    def content_free(self, shots: Sequence[Example] = ()) -> tuple[Prompt, ...]:
        """Return the prompts of `CONTENT_FREE` inputs, for the calibration of that name."""
        prompts = []
        for text in CONTENT_FREE:
            given: Input = (text, text) if self.task.kind is Kind.PAIR else text
            prompts.append(self._fit(f"content-free {text!r}", given, tuple(shots)))
        return tuple(prompts)

    def cue_alone(self) -> Prompt:
        """Return the prompt that holds the cue and nothing else, for calibration by PMI."""
        asks = [self.wording.cue_text(None, label) for label in self._asked()]
        return self._without_input("cue", "", (), asks)

    def null(self, shots: Sequence[Example] = ()) -> Prompt:
        """Return the null prompt of in-context PVI: what tells the label's prior, and no input.

        Lu et al. 2023, Findings of EMNLP: the same shots reduced to their answer lines, then the
        cue alone. Without shots, which their null needs: the instruction without input, and the id
        says ``null, instruction``.
        """
        asks = [self.wording.cue_text(None, label) for label in self._asked()]
        if not shots:
            return self._without_input("null, instruction", self._instruction(), (), asks)
        lines = []
        for i, shot in enumerate(shots):
            label = self._asked_of(shot, i)
            lines.append((self.wording.cue_text(None, label), self.answer(shot, label)))
        prompt = self._without_input("null, shots", "", tuple(lines), asks)
        return replace(prompt, shots=tuple(shot.id for shot in shots))

    def answer(self, example: Example, label: str | None = None) -> str:
        """Return the right answer about an example.

        Args:
            example: with its gold.
            label: of the question, where labels are asked about one by one.

        Raises:
            ValueError: it has no gold label.
        """
        if label is not None:
            return YES if label in strata(self.task, example) else NO
        return answer_text(self.task, self.wording, self.mode, example)

    def too_long(self, k: int) -> Callable[[Example], bool]:
        """Return what tells whether a shot takes more than 1/k of the budget."""
        share = (self.limit - self._reserve("")) / max(k, 1)

        def too_long(shot: Example) -> bool:
            label = self._asked_of(shot, 0)
            text = f"{self._ask(shot.input, label)} {self.answer(shot, label)}"
            return self.form.count(text) > share

        return too_long

    def _fit(self, name: str, given: Input, shots: tuple[Example, ...]) -> Prompt:
        asked = self._asked()
        instruction = self._instruction()
        shown = self._shown_of(shots)
        longest = max(asked, key=lambda label: len(label or ""))
        rendered: dict[tuple[object, ...], Rendered] = {}

        def render(kept: tuple[int, ...], text: Input, label: str | None) -> Rendered:
            key = (kept, text, label)
            if key not in rendered:
                pairs = tuple(shown.pairs[i] for i in kept)
                rendered[key] = self.form.render(
                    Conversation(instruction, pairs, self._ask(text, label))
                )
            return rendered[key]

        def size(kept: tuple[int, ...], text: Input) -> int:
            return render(kept, text, longest).n_tokens + self._reserve(text)

        fitted = fit_budget(
            self.task.kind,
            given,
            shown.strata,
            size,
            self.limit,
            on_long=self.on_long,
            fewest=self.wording.n_words_needed(given),
        )
        questions: tuple[Question, ...] = ()
        if fitted.fits:
            questions = tuple(
                self._question(render(fitted.kept, fitted.input, label), label) for label in asked
            )
        return Prompt(
            id=name,
            questions=questions,
            parts={
                **self._fixed_parts(),
                "input": self.wording.input_text(fitted.input),
                "cue": self._cue(fitted.input, asked[0]),
            },
            shots=tuple(shots[i].id for i in fitted.kept),
            given=fitted.input,
            max_tokens=self._cap(fitted.input),
            shots_dropped=fitted.shots_dropped,
            words_dropped=fitted.words_dropped,
            schema=answer_schema(self.wording) if self.mode is Mode.JSON else None,
            reason=None if fitted.fits else Reason.PROMPT_TOO_LONG,
        )

    def _without_input(
        self, name: str, instruction: str, lines: tuple[tuple[str, str], ...], asks: Sequence[str]
    ) -> Prompt:
        questions = tuple(
            self._question(self.form.render(Conversation(instruction, lines, ask)), label)
            for ask, label in zip(asks, self._asked(), strict=True)
        )
        parts = self._fixed_parts() if instruction else {}
        return Prompt(
            id=name,
            questions=questions,
            parts={**parts, "cue": asks[0]},
            shots=(),
            given="",
            max_tokens=self._cap(""),
            schema=answer_schema(self.wording) if self.mode is Mode.JSON else None,
        )

    def _question(self, rendered: Rendered, label: str | None) -> Question:
        ids = rendered.ids
        choices: dict[str, str] = {}
        spellings: Mapping[str, tuple[int, ...]] = {}
        continuations: Mapping[str, tuple[int, ...]] = {}
        if self.mode in {Mode.SCORE, Mode.CHOICE}:
            names = {YES: YES, NO: NO}
            if label is None:
                names = {name: self.wording.surface(name) for name in self.wording.names}
            choices = {name: self.form.surface(surface) for name, surface in names.items()}
            if self.mode is Mode.SCORE or ids is not None:
                tokens = self.form.split(rendered, names)
                if self.mode is Mode.SCORE:
                    ids, continuations = tokens.context, tokens.continuations
                elif not tokens.backed_off:
                    # What is sent cannot be taken back: a label that begins inside it has no such
                    # spelling.
                    spellings = tokens.continuations
        return Question(
            text=rendered.text,
            ids=ids,
            messages=rendered.messages,
            n_tokens=rendered.n_tokens if ids is None else len(ids),
            rendered=rendered,
            label=label,
            choices=choices,
            spellings=spellings,
            continuations=continuations,
        )

    def _one_by_one(self) -> bool:
        return self.task.kind is Kind.MULTILABEL and self.mode in {Mode.SCORE, Mode.CHOICE}

    def _asked(self) -> tuple[str | None, ...]:
        return self.wording.names if self._one_by_one() else (None,)

    def _asked_of(self, shot: Example, index: int) -> str | None:
        """Return the label that a shot asks about: in turn one that is there and one that is not.

        It is a function of the seed, the task and the shot, so that all prompts with this shot at
        this place begin alike.
        """
        if not self._one_by_one():
            return None
        held = strata(self.task, shot) - {NOTHING}
        there = [name for name in self.wording.names if name in held]
        absent = [name for name in self.wording.names if name not in held]
        pool = (there or absent) if index % 2 == 0 else (absent or there)
        key = digest(["asked", self.seed, self.task.name, index, shot.content_hash])
        return random.Random(int(key, 16)).choice(pool)  # noqa: S311 - a draw, not a secret

    def _instruction(self) -> str:
        parts = self._fixed_parts().values()
        return "\n".join(part for part in parts if part)

    def _shown_of(self, shots: tuple[Example, ...]) -> _Shown:
        """Return how shots are shown. All prompts of a fit often have the very same."""
        if not self._shown or self._shown[0].shots is not shots:
            asked = [self._asked_of(shot, i) for i, shot in enumerate(shots)]
            pairs = tuple(
                (self._ask(shot.input, label), self.answer(shot, label))
                for shot, label in zip(shots, asked, strict=True)
            )
            of_each = tuple(strata(self.task, shot) for shot in shots)
            self._shown[:] = [_Shown(shots, pairs, of_each)]
        return self._shown[0]

    def _fixed_parts(self) -> dict[str, str]:
        if not self._fixed:
            self._fixed.update(
                instruction=self.wording.instruction_text(),
                labels=self.wording.labels_text(),
                format=format_text(self.wording, self.mode),
            )
        return self._fixed

    def _ask(self, given: Input, label: str | None) -> str:
        return f"{self.wording.input_text(given)}\n{self._cue(given, label)}"

    def _cue(self, given: Input, label: str | None) -> str:
        return self.wording.cue_text(given, label)

    def _cap(self, given: Input) -> int:
        return self._written(given, self.mode)

    def _reserve(self, given: Input) -> int:
        # Scored labels are read token by token after the prompt: they need the room of a choice.
        return reserve(self._written(given, Mode.CHOICE if self.mode is Mode.SCORE else self.mode))

    def _written(self, given: Input, mode: Mode) -> int:
        if self.max_output is not None and self.mode is not Mode.SCORE:
            return self.max_output + self.reasoning_reserve
        return output_cap(self.wording, mode, self._n_input(given)) + self.reasoning_reserve

    def _n_input(self, given: Input) -> int:
        if self.task.kind is not Kind.TOKEN:
            return 0  # no cap depends on it
        return self.form.count(given if isinstance(given, str) else " ".join(given))
