"""Label reads: the log-likelihood of labels from next-token log-probabilities.

The labels' tokens form a trie. Reading the log-probability of chosen tokens after each of its inner
nodes gives the sums that scoring every label by itself would, and shares what labels share: labels
of one token need one prompt for them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench.predictions import FloatArray, IntArray

CHUNK = 128
"""Token ids that a server reads in one call, at most."""


@dataclass(frozen=True, slots=True)
class ReadCall:
    """One request: log-probabilities of ``token_ids`` after each of the prefixes."""

    prefixes: tuple[int, ...]
    """Indices into `ReadPlan.prefixes`."""
    token_ids: tuple[int, ...]
    """Ascending, `CHUNK` at most."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelReads:
    """What was read of one example's labels. All arrays have shape ``[n_labels]``."""

    sums: FloatArray
    """Sum of the label's token log-probabilities, in nats. Float64."""
    first: FloatArray
    """Log-probability of its first token, in nats; 0 where it has none."""
    n_tokens: IntArray


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What to read for the labels of one example."""

    labels: tuple[str, ...]
    prefixes: tuple[tuple[int, ...], ...]
    """Token ids to put after the context; the first is empty."""
    steps: Mapping[str, tuple[tuple[int, int], ...]]
    """By label, the (prefix, token id) pairs of its sum."""
    calls: tuple[ReadCall, ...]
    """The requests: one, unless labels have more than `CHUNK` different tokens."""

    def prompts(self, context: Sequence[int], call: ReadCall) -> list[list[int]]:
        """Return the token ids of each of a call's prompts, as a list of lists."""
        return [[*context, *self.prefixes[i]] for i in call.prefixes]

    def sums(self, replies: Sequence[Sequence[Mapping[int, float]]]) -> LabelReads:
        """Return what the replies come to, in the order of ``labels``.

        Args:
            replies: for each of `calls`, and each of its prefixes, log-probabilities by token
                id.

        Raises:
            ValueError: the replies do not fit the calls, or a token that was asked for is missing.
        """
        read: dict[tuple[int, int], float] = {}
        for call, reply in zip(self.calls, replies, strict=True):
            for prefix, values in zip(call.prefixes, reply, strict=True):
                read.update({(prefix, token): value for token, value in values.items()})
        paths = list(self.steps.values())
        if missing := next((step for path in paths for step in path if step not in read), None):
            raise ValueError(
                f"the log-probability of token {missing[1]} after prefix {missing[0]} was not read"
            )
        return LabelReads(
            sums=np.array([sum(read[step] for step in path) for path in paths], dtype=np.float64),
            first=np.array([read[path[0]] if path else 0.0 for path in paths], dtype=np.float64),
            n_tokens=np.array([len(path) for path in paths], dtype=np.int64),
        )


def plan_reads(continuations: Mapping[str, Sequence[int]]) -> ReadPlan:
    """Return what to read for labels that continue a context with these token ids.

    >>> plan = plan_reads({"good": [5], "very good": [7, 5]})
    >>> plan.prefixes
    ((), (7,))
    >>> plan.steps["very good"]
    ((0, 7), (1, 5))
    """
    return _planned(tuple((label, tuple(ids)) for label, ids in continuations.items()))


@lru_cache(maxsize=16)  # prompts of one task have the same, all but always
def _planned(continuations: tuple[tuple[str, tuple[int, ...]], ...]) -> ReadPlan:
    prefixes: dict[tuple[int, ...], int] = {(): 0}
    steps: dict[str, tuple[tuple[int, int], ...]] = {}
    for label, ids in continuations:
        steps[label] = tuple(
            (prefixes.setdefault(ids[:i], len(prefixes)), token) for i, token in enumerate(ids)
        )
    return ReadPlan(tuple(steps), tuple(prefixes), steps, tuple(_calls(steps)))


def _calls(steps: Mapping[str, tuple[tuple[int, int], ...]]) -> Iterator[ReadCall]:
    wanted: dict[int, set[int]] = {}
    for path in steps.values():
        for prefix, token in path:
            wanted.setdefault(token, set()).add(prefix)
    tokens = sorted(wanted)
    for start in range(0, len(tokens), CHUNK):
        chunk = tokens[start : start + CHUNK]
        prefixes = sorted(set().union(*(wanted[token] for token in chunk)))
        yield ReadCall(tuple(prefixes), tuple(chunk))
