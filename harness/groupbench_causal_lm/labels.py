"""Log-likelihoods of labels: what prompts share is computed once.

First comes what all prompts begin with (instruction and fixed shots), then each prompt up to where
its questions part, then each question, then the tokens of its labels: a trie, a level at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from groupbench.llm.boundaries import common_prefix
from groupbench.llm.reads import plan_reads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from groupbench.llm.prompt import Prompt, Question
    from groupbench.llm.reads import LabelReads, ReadPlan
    from groupbench_causal_lm.past import Found, Network, Past, Wanted

FEWEST_SHARED = 16
"""Shorter beginnings are not worth a pass of their own."""

Tokens = tuple[int, ...]
T = TypeVar("T")


@dataclass(slots=True)
class _Ask:
    """One question on its way."""

    question: Question
    plan: ReadPlan
    wanted: dict[Tokens, list[int]]
    """Token ids to read after each beginning of a label."""
    values: dict[Tokens, dict[int, float]]
    """What was read after each."""

    @classmethod
    def of(cls, question: Question) -> _Ask:
        plan = plan_reads(question.continuations)
        wanted: dict[Tokens, set[int]] = {}
        for path in plan.steps.values():
            for prefix, token in path:
                wanted.setdefault(plan.prefixes[prefix], set()).add(token)
        return cls(question, plan, {p: sorted(tokens) for p, tokens in wanted.items()}, {})

    @property
    def context(self) -> Tokens:
        return self.question.ids or ()

    def ends(self) -> list[Tokens]:
        """Return the beginnings of labels, those left out that another one goes on from."""
        there = set(self.wanted)
        inner = {p[:n] for p in there for n in range(len(p))}
        return sorted(there - inner - {()})

    def along(self, end: Tokens, before: int = 0) -> Wanted:
        """Return what to read after the tokens of ``end``, whose places begin at ``before``."""
        wanted = {before + n - 1: self.wanted.get(end[:n], []) for n in range(len(end) + 1)}
        return {place: tokens for place, tokens in wanted.items() if tokens and place >= 0}

    def take(self, end: Tokens, found: Found, before: int = 0) -> None:
        """Keep what was read along ``end``."""
        for (place, token), value in found.items():
            self.values.setdefault(end[: place - before + 1], {})[token] = value

    def reads(self) -> LabelReads:
        replies = [
            [self.values.get(self.plan.prefixes[i], {}) for i in call.prefixes]
            for call in self.plan.calls
        ]
        return self.plan.sums(replies)


class LabelReader:
    """Reads labels with one network."""

    def __init__(self, network: Network, batch_size: int) -> None:
        """Make the reader. ``batch_size``: rows computed side by side."""
        self._network = network
        self._batch_size = batch_size
        self._shared: tuple[Tokens, Past] = ((), network.nothing())

    def read(self, prompts: Sequence[Prompt]) -> list[tuple[LabelReads, ...]]:
        """Return what was read of each prompt's questions."""
        asks = [[_Ask.of(question) for question in prompt.questions] for prompt in prompts]
        if self._network.goes_on and all(len(_stem(each)) > 0 for each in asks):
            self._read_shared(asks)
        else:
            self._read_whole([ask for each in asks for ask in each])
        return [tuple(ask.reads() for ask in each) for each in asks]

    def _read_shared(self, asks: Sequence[list[_Ask]]) -> None:
        stems = [_stem(each) for each in asks]
        shared, past = self._share(stems)
        # Of like length side by side: less padding.
        order = sorted(range(len(asks)), key=lambda i: len(stems[i]))
        for chunk in _chunks(order, self._batch_size):
            wanted = [_after(asks[i], stems[i], len(stems[i]) - len(shared)) for i in chunk]
            blocks = [stems[i][len(shared) :] for i in chunk]
            stem_past, found = self._network.read(past, [0] * len(chunk), blocks, wanted)
            alone: list[tuple[int, _Ask]] = []
            parted: list[tuple[int, _Ask, Tokens]] = []
            for row, i in enumerate(chunk):
                for ask in asks[i]:
                    rest = ask.context[len(stems[i]) :]
                    if rest:
                        parted.append((row, ask, rest))
                    else:
                        ask.take((), found[row], len(blocks[row]))
                        alone.append((row, ask))
            self._read_labels(stem_past, alone)
            for part in _chunks(parted, self._batch_size):
                wants = [ask.along((), len(rest)) for _, ask, rest in part]
                rows = [row for row, _, _ in part]
                rests = [rest for _, _, rest in part]
                after, found = self._network.read(stem_past, rows, rests, wants)
                for (_, ask, rest), each in zip(part, found, strict=True):
                    ask.take((), each, len(rest))
                self._read_labels(after, [(row, ask) for row, (_, ask, _) in enumerate(part)])

    def _read_labels(self, past: Past, asks: Sequence[tuple[int, _Ask]]) -> None:
        """Read labels of more than one token after contexts that were read."""
        ends = [(row, ask, end) for row, ask in asks for end in ask.ends()]
        for chunk in _chunks(ends, self._batch_size):
            _, found = self._network.read(
                past,
                [row for row, _, _ in chunk],
                [end for _, _, end in chunk],
                [ask.along(end) for _, ask, end in chunk],
                keep=False,
            )
            for (_, ask, end), each in zip(chunk, found, strict=True):
                ask.take(end, each)

    def _read_whole(self, asks: Sequence[_Ask]) -> None:
        """Read everything from its first token on: for networks whose past cannot be padded."""
        rows = [(ask, end) for ask in asks for end in ask.ends() or [()]]
        rows.sort(key=lambda row: len(row[0].context) + len(row[1]))
        for chunk in _chunks(rows, self._batch_size):
            _, found = self._network.read(
                self._network.nothing(),
                [0] * len(chunk),
                [(*ask.context, *end) for ask, end in chunk],
                [ask.along(end, len(ask.context)) for ask, end in chunk],
                keep=False,
            )
            for (ask, end), each in zip(chunk, found, strict=True):
                ask.take(end, each, len(ask.context))

    def _share(self, stems: Sequence[Tokens]) -> tuple[Tokens, Past]:
        """Return what all stems begin with, and the past of having read it."""
        tokens, past = self._shared
        if tokens and all(len(s) > len(tokens) and s[: len(tokens)] == tokens for s in stems):
            return tokens, past
        n = min(common_prefix(stems), min(map(len, stems)) - 1)
        nothing = self._network.nothing()
        if len(stems) == 1 or n < FEWEST_SHARED:
            return (), nothing
        past, _ = self._network.read(nothing, [0], [stems[0][:n]], [{}])
        self._shared = (stems[0][:n], past)
        return self._shared


def _stem(asks: Sequence[_Ask]) -> Tokens:
    """Return where the questions of a prompt part; a prompt of one question does not."""
    contexts = [ask.context for ask in asks]
    if len(contexts) == 1:
        return contexts[0]
    return contexts[0][: min(common_prefix(contexts), min(map(len, contexts)) - 1)]


def _after(asks: Sequence[_Ask], stem: Tokens, width: int) -> Wanted:
    """Return what to read after a stem: the labels of a question that ends there."""
    return asks[0].along((), width) if asks[0].context == stem else {}


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
