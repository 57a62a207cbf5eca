"""A causal language model in this process. Implements `groupbench.llm.Model`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from groupbench.calls import Calls
from groupbench.llm.model import ModelUse
from groupbench_causal_lm.labels import LabelReader
from groupbench_causal_lm.past import Network
from groupbench_causal_lm.text import Ask, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from groupbench.llm.answers import Said
    from groupbench.llm.model import Abilities
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.reads import LabelReads

WINDOW = 16
"""Batches whose prompts are held at a time, to put those of like length side by side."""


class HfModel:
    """Label reads and greedy text."""

    def __init__(self, net: Any, tokenizer: Any, abilities: Abilities, batch_size: int) -> None:  # noqa: ANN401 - transformers has no types
        """Make the model.

        Args:
            net: loaded, in evaluation mode.
            tokenizer: its own.
            abilities: the form, whose stop texts end answers, and the limit.
            batch_size: sequences computed side by side.
        """
        self.abilities = abilities
        self._net = net
        self._batch_size = batch_size
        self._network = Network(net)
        self._reader = LabelReader(self._network, batch_size)
        self._writer = Writer(net, tokenizer, abilities.form.stop)
        self._tokens_in = 0

    def read(self, prompts: Iterable[Prompt]) -> Iterator[tuple[LabelReads, ...]]:
        """Yield what was read of the labels of each prompt's questions."""
        for window in self._windows(prompts):
            yield from self._reader.read(window)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[tuple[Said, ...]]:
        """Yield the likeliest answer to each prompt's questions."""
        for window in self._windows(prompts):
            asks = [
                Ask(question.ids or (), prompt.max_tokens)
                for prompt in window
                for question in prompt.questions
            ]
            said: dict[int, Said] = {}
            order = sorted(range(len(asks)), key=lambda i: len(asks[i].ids))
            for start in range(0, len(order), self._batch_size):
                chunk = order[start : start + self._batch_size]
                said |= dict(zip(chunk, self._writer.write([asks[i] for i in chunk]), strict=True))
            answers = (said[i] for i in range(len(asks)))
            for prompt in window:
                yield tuple(islice(answers, len(prompt.questions)))

    def use(self) -> ModelUse:
        """Return the tokens so far; those computed are fewer where prompts share a beginning."""
        return ModelUse(
            n_parameters=sum(parameter.numel() for parameter in self._net.parameters()),
            calls=Calls(tokens_in=self._tokens_in, tokens_out=self._writer.n_tokens),
            facts={
                "tokens_in": self._tokens_in,
                "tokens_out": self._writer.n_tokens,
                "tokens_computed_for_reads": self._network.n_tokens,
                "shares_beginnings": self._network.goes_on,
                "device": str(self._net.device),
                "dtype": str(self._net.dtype).removeprefix("torch."),
                "batch_size": self._batch_size,
            },
        )

    def _windows(self, prompts: Iterable[Prompt]) -> Iterator[list[Prompt]]:
        source = iter(prompts)
        while window := list(islice(source, WINDOW * self._batch_size)):
            self._tokens_in += sum(prompt.n_tokens for prompt in window)
            yield window
