"""Averaged word vectors that all tasks share, and one linear head for each task."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groupbench import Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from groupbench import Example, TaskInput

    FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WordBatch:
    """Examples of one task as rows of hashed words."""

    task: str
    words: tuple[npt.NDArray[np.int64], ...]

    def __len__(self) -> int:
        return len(self.words)


class AveragedModel:
    """What probes are offered, as far as a model without torch can be (`TrainableModel`)."""

    def __init__(
        self, inputs: Sequence[TaskInput], *, n_words: int, width: int, n_steps: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        self.inputs = {item.task.name: item for item in inputs}
        self.tasks = tuple(self.inputs)
        self.n_steps = n_steps
        self.vectors: FloatArray = rng.normal(0, width**-0.5, (n_words, width))
        self.heads: dict[str, FloatArray] = {
            name: np.zeros((width + 1, len(item.task.labels))) for name, item in self.inputs.items()
        }

    def encode(self, task: str, examples: Sequence[Example]) -> WordBatch:
        """Return examples as the model reads them."""
        n_words = len(self.vectors)
        return WordBatch(
            task,
            tuple(
                np.array(
                    [zlib.crc32(word.encode()) % n_words for word in _words(example)] or [0],
                    dtype=np.int64,
                )
                for example in examples
            ),
        )

    def batches(self, task: str, split: Split, n: int, seed: int) -> Iterator[WordBatch]:
        """Yield batches of at most ``n`` examples: all of train or dev-A, in seeded order."""
        item = self.inputs[task]
        examples = item.train if split is Split.TRAIN else item.dev_a
        order = np.random.default_rng(seed).permutation(len(examples))
        for start in range(0, len(order), n):
            yield self.encode(task, [examples[i] for i in order[start : start + n]])

    def pooled(self, batch: WordBatch) -> FloatArray:
        """Return the mean word vector of each example, shape ``[len(batch), width]``."""
        return np.stack([self.vectors[words].mean(axis=0) for words in batch.words])

    def log_probs(self, batch: WordBatch) -> FloatArray:
        """Return log-probabilities of the labels, shape ``[len(batch), n_labels]``."""
        head = self.heads[batch.task]
        logits = self.pooled(batch) @ head[:-1] + head[-1]
        logits -= logits.max(axis=1, keepdims=True)
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))

    def step(self, batch: WordBatch, gold: npt.NDArray[np.int64], rate: float) -> float:
        """Take one step of gradient descent on the log-loss; return the loss, in nats."""
        head, pooled = self.heads[batch.task], self.pooled(batch)
        log_probs = self.log_probs(batch)
        rows = np.arange(len(gold))
        loss = -float(log_probs[rows, gold].mean())
        error = np.exp(log_probs)
        error[rows, gold] -= 1
        error /= len(gold)
        into_words = error @ head[:-1].T
        head[:-1] -= rate * (pooled.T @ error)
        head[-1] -= rate * error.sum(axis=0)
        for words, change in zip(batch.words, into_words, strict=True):
            np.subtract.at(self.vectors, words, rate * change / len(words))
        return loss


def _words(example: Example) -> list[str]:
    texts = (example.input,) if isinstance(example.input, str) else example.input
    return [f"{part} {word}" for part, text in enumerate(texts) for word in text.lower().split()]
