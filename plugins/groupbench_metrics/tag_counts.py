"""Counts over tagged words that the metrics of token tasks are made of.

Arrays of references and predictions hold a tag's index for each word, ``[W]``, -1 where there is no
valid answer; words of example ``i`` are ``offsets[i]:offsets[i + 1]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from groupbench_metrics.counts import label_counts
from groupbench_metrics.spans import entity_type, entity_types, spans, type_of_tag

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from groupbench.predictions import FloatArray, IntArray


def right_words(references: IntArray, predictions: IntArray, offsets: IntArray) -> FloatArray:
    """Return ``[right words, words]`` of each example."""
    right = references == predictions
    return by_example(np.stack([right, np.ones(len(right))], axis=1).astype(float), offsets)


def right_entity_words(
    references: IntArray, predictions: IntArray, offsets: IntArray, tags: Sequence[str]
) -> FloatArray:
    """Return ``[right words, words]`` of each example, of words whose gold tag is not ``O``."""
    entity = type_of_tag(tags)[references] >= 0
    right = entity & (references == predictions)
    return by_example(np.stack([right, entity], axis=1).astype(float), offsets)


def type_counts(
    references: IntArray, predictions: IntArray, offsets: IntArray, tags: Sequence[str]
) -> FloatArray:
    """Return the `label_counts` of each example's words, of entity types and then ``O``."""
    n_types = len(entity_types(tags))
    types = type_of_tag(tags)
    # the last row is for "no valid answer", which indexes it as -1 and stays -1
    types = np.append(np.where(types < 0, n_types, types), -1)
    counts = label_counts(types[references], types[predictions], n_types + 1)
    return by_example(counts, offsets)


def span_counts(
    references: IntArray,
    predictions: IntArray,
    offsets: IntArray,
    tags: Sequence[str],
    kept: IntArray,
) -> FloatArray:
    """Return ``[spans in both, predicted spans, gold spans]`` of each example.

    Args:
        references: gold tags.
        predictions: predicted tags; a run of words without a valid answer is one wrong span.
        offsets: where examples begin.
        tags: what the indices mean.
        kept: which entity types count, one boolean for each of `entity_types`.
    """
    n_words = len(references)
    counted = np.append(kept, True)
    counts = np.zeros((len(offsets) - 1, 3))
    keys = []
    for column, indices in ((2, references), (1, predictions)):
        found = spans(tags, indices, offsets)
        keep = counted[found.type]
        start, end, types = found.start[keep], found.end[keep], found.type[keep]
        np.add.at(counts[:, column], _example_of(start, offsets), 1.0)
        keys.append((types * (n_words + 1) + end) * (n_words + 1) + start)
    both = np.intersect1d(keys[0], keys[1], assume_unique=True) % (n_words + 1)
    np.add.at(counts[:, 0], _example_of(both, offsets), 1.0)
    return counts


def kept_types(tags: Sequence[str], excluded: Collection[str] = ()) -> IntArray:
    """Return which entity types count, one boolean each: not if its name or all its tags are out.

    >>> kept_types(["O", "B-drug", "I-drug", "B-gene"], excluded=["gene"]).tolist()
    [True, False]
    """
    return np.array(
        [
            kind not in excluded
            and not all(tag in excluded for tag in tags if entity_type(tag) == kind)
            for kind in entity_types(tags)
        ],
        dtype=bool,
    )


def by_example(values: FloatArray, offsets: IntArray) -> FloatArray:
    """Return sums over each example's words: ``[W, d]`` to ``[n, d]``. Empty examples give 0."""
    before = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    sums: FloatArray = before[offsets[1:]] - before[offsets[:-1]]
    return sums


def _example_of(words: IntArray, offsets: IntArray) -> IntArray:
    return np.searchsorted(offsets, words, side="right") - 1
