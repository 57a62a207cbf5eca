"""What a fit of a prompted runner would send, estimated from prompts as it would send them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.estimates import Estimate
from groupbench.llm.chat import MessagesForm
from groupbench.llm.formats import answer_text
from groupbench.llm.modes import Mode
from groupbench.llm.prompter import Prompter
from groupbench.llm.reads import plan_reads
from groupbench.llm.repeat import repeated, shares_of
from groupbench.llm.usage import Usage
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from groupbench.llm.conversation import Form
    from groupbench.llm.prices import Price
    from groupbench.llm.prompt import Prompt, Question
    from groupbench.llm.prompted import PromptedRunner
    from groupbench.runner import TaskInput
    from groupbench.task import Example

SAMPLED = 32
"""Examples of each split whose prompts are built; the others are taken to be like them.

Of a split that is answered in part all are built.
"""

BY_CHARACTERS = "characters / 4 (at worst: bytes / 3)"
"""How tokens are counted where there is no tokenizer."""

_PER_MESSAGE = 4
"""Tokens that a provider puts around a message."""


def estimate(runner: PromptedRunner, tasks: Sequence[TaskInput], seed: int) -> Estimate:
    """Return about what a fit of ``runner`` sends about ``tasks``, and what that costs.

    Args:
        runner: configured.
        tasks: as the fit gets them.
        seed: of the fit.

    Raises:
        GroupbenchError: a task cannot be asked about, or something is missing here.
    """
    abilities = runner.abilities()
    found: Estimate | None = None
    for given, n_again in zip(tasks, shares_of(runner.repeat, len(tasks)), strict=True):
        prompter = Prompter.of(runner, abilities, given, seed if runner.seeded else 0)
        part = _Estimating(runner, prompter, given, runner.price(), n_again).whole()
        found = part if found is None else found + part
    return found or Estimate(0, 0)


@dataclass(frozen=True, slots=True)
class _Size:
    """Of some prompts."""

    tokens_in: float = 0.0
    tokens_in_worst: float = 0.0
    tokens_out: float = 0.0
    tokens_out_worst: float = 0.0
    usd: float = 0.0
    usd_worst: float = 0.0

    def __add__(self, other: _Size) -> _Size:
        return _Size(
            self.tokens_in + other.tokens_in,
            self.tokens_in_worst + other.tokens_in_worst,
            self.tokens_out + other.tokens_out,
            self.tokens_out_worst + other.tokens_out_worst,
            self.usd + other.usd,
            self.usd_worst + other.usd_worst,
        )

    def times(self, share: float) -> _Size:
        return _Size(
            self.tokens_in * share,
            self.tokens_in_worst * share,
            self.tokens_out * share,
            self.tokens_out_worst * share,
            self.usd * share,
            self.usd_worst * share,
        )


@dataclass(frozen=True, slots=True)
class _Estimating:
    """One task."""

    runner: PromptedRunner
    prompter: Prompter
    given: TaskInput
    price: Price | None
    n_again: int
    """Test examples that are asked again at the end."""

    def whole(self) -> Estimate:
        size = self._sum(self._unanswered(self._besides()))
        answer = self._answer_tokens()
        n_examples, n_prompts, n_stored = 0, 0, 0
        for examples in self._asked_about():
            n_examples += len(examples)
            sent = self._sent(_spread(examples))
            if self.runner.n_answered(sent) == 0:
                built = min(len(examples), SAMPLED)
                size += self._sum(sent, answer).times(len(examples) / built)
                n_prompts += built
                continue
            # Some are paid for, the first ones or any others: each is looked for.
            for i in range(0, len(examples), SAMPLED):
                sent = self._sent(examples[i : i + SAMPLED])
                left = self._unanswered(sent)
                size += self._sum(left, answer)
                n_stored += len(sent) - len(left)
            n_prompts += len(examples)
        again = repeated(self.given, self.n_again)
        size += self._sum(self._sent(again), answer)
        n_examples += len(again)
        by_tokens = self.price is not None and self.price.usd_per_hour is None
        return Estimate(
            n_examples=n_examples,
            n_prompts=n_prompts,
            n_stored=n_stored,
            tokens_in=round(size.tokens_in),
            tokens_in_worst=round(size.tokens_in_worst),
            tokens_out=round(size.tokens_out),
            tokens_out_worst=round(size.tokens_out_worst),
            usd=size.usd if by_tokens else None,
            usd_worst=size.usd_worst if by_tokens else None,
            usd_per_hour=self.price.usd_per_hour if self.price is not None else None,
            **({"counted_by": BY_CHARACTERS} if _estimates(self._form) else {}),
        )

    def _sent(self, examples: Sequence[Example]) -> list[Prompt]:
        """Return the prompts of those examples that are not given up."""
        prompts = map(self.prompter.prompt, examples)
        return [prompt for prompt in prompts if prompt.reason is None]

    def _unanswered(self, prompts: list[Prompt]) -> list[Prompt]:
        """Return the prompts that the response store does not answer."""
        n_answered = self.runner.n_answered(prompts) if prompts else 0
        if n_answered in {0, len(prompts)}:
            return prompts if n_answered == 0 else []
        half = len(prompts) // 2
        return self._unanswered(prompts[:half]) + self._unanswered(prompts[half:])

    @property
    def _form(self) -> Form:
        return self.prompter.builder.form

    def _asked_about(self) -> Iterator[Sequence[Example]]:
        """Yield the examples of each split that is asked about."""
        yield from (examples for examples in self.given.predict.values() if examples)
        scored = self.prompter.mode is Mode.SCORE and self.given.task.kind is Kind.MULTILABEL
        if scored and self.runner.threshold == "fitted" and self.given.dev_a:
            yield self.given.dev_a

    def _besides(self) -> list[Prompt]:
        """Return the prompts without an example that scoring needs."""
        if self.prompter.mode is not Mode.SCORE:
            return []
        builder, shots = self.prompter.builder, self.prompter.fixed
        prompts = [builder.null(shots)]
        if self.runner.calibration == "content_free":
            prompts += builder.content_free(shots)
        elif self.runner.calibration == "pmi":
            prompts.append(builder.cue_alone())
        return prompts

    def _answer_tokens(self) -> float | None:
        """Return how long the answers of training examples are; ``None`` where there are none."""
        wording, mode, task = self.prompter.wording, self.prompter.mode, self.given.task
        if mode is Mode.SCORE or not self.given.train:
            return None
        rows = _spread(self.given.train)
        counts = [_count(self._form, answer_text(task, wording, mode, row)) for row in rows]
        # An end mark, and what a model thinks before: it is taken to use all that it may.
        return sum(counts) / len(counts) + 1 + self.runner.reasoning_reserve()

    def _sum(self, prompts: Sequence[Prompt], answer: float | None = None) -> _Size:
        size = _Size()
        for prompt in prompts:
            for question in prompt.questions:
                size += self._size(prompt, question, answer)
        return size

    def _size(self, prompt: Prompt, question: Question, answer: float | None) -> _Size:
        tokens_in, worst_in = self._tokens_sent(question)
        if self.prompter.mode is Mode.SCORE:
            # A server writes one token after each prompt, which nobody reads.
            worst_out = tokens_in // max(question.n_tokens, 1) if self._served else 0
            out = float(worst_out)
        else:
            worst_out = prompt.max_tokens
            if question.choices:
                counts = [_count(self._form, text) for text in question.choices.values()]
                answer = sum(counts) / len(counts)
            out = float(worst_out if answer is None else min(answer, worst_out))
        usd = usd_worst = 0.0
        if self.price is not None:
            usd = self.price.usd(Usage(tokens_in, tokens_out=round(out)))
            usd_worst = self.price.worst_usd(worst_in, worst_out)
        return _Size(tokens_in, worst_in, out, worst_out, usd, usd_worst)

    def _tokens_sent(self, question: Question) -> tuple[int, int]:
        """Return the tokens that are sent of a question, expected and at worst."""
        if self.prompter.mode is Mode.SCORE and self._served:
            # The prompt goes along for each token of a label that another is read after.
            plan = plan_reads(question.continuations)
            prefixes = [plan.prefixes[i] for call in plan.calls for i in call.prefixes]
            n = len(prefixes) * question.n_tokens + sum(map(len, prefixes))
            return n, n
        if question.ids is None and question.messages is not None:
            contents = [message["content"] for message in question.messages]
            estimated = sum(_characters(text) + _PER_MESSAGE for text in contents)
            return estimated, max(estimated, question.n_tokens)
        return question.n_tokens, question.n_tokens

    @property
    def _served(self) -> bool:
        return hasattr(self.runner, "service")


def _spread(examples: Sequence[Example]) -> list[Example]:
    """Return at most `SAMPLED` examples, as far from each other as may be."""
    n = min(len(examples), SAMPLED)
    return [examples[i * len(examples) // n] for i in range(n)]


def _count(form: Form, text: str) -> int:
    return _characters(text) if _estimates(form) else form.count(text)


def _estimates(form: Form) -> bool:
    """Return whether tokens can only be estimated: the provider renders."""
    return isinstance(form, MessagesForm)


def _characters(text: str) -> int:
    return -(-len(text) // 4)
