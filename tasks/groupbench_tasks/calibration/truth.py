"""What is known of a calibration suite beforehand: closed forms and the true posterior."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

from groupbench.task import Kind, Planted

if TYPE_CHECKING:
    from groupbench.predictions import FloatArray
    from groupbench.task import Split
    from groupbench_tasks.calibration.design import TaskDesign
    from groupbench_tasks.calibration.world import World


def binary_entropy(p: float) -> float:
    """Return the entropy of a coin, in bits.

    >>> binary_entropy(0.5)
    1.0
    """
    return 0.0 if p in {0.0, 1.0} else -p * log2(p) - (1 - p) * log2(1 - p)


def balanced_information(n_labels: int, noise: float) -> float:
    """Return the information in bits of balanced labels under symmetric flips.

    A flipped label is any of the others, equally likely: ``log2 K - h(e) - e log2(K - 1)``.
    """
    return log2(n_labels) - binary_entropy(noise) - noise * log2(n_labels - 1)


def binary_information(prior: float, noise: float) -> float:
    """Return the information in bits of a binary label with ``prior``, flipped with ``noise``."""
    flipped = prior + noise - 2 * prior * noise
    return binary_entropy(flipped) - binary_entropy(noise)


def multilabel_information(priors: tuple[float, ...], noises: tuple[float, ...]) -> float:
    """Return the information in bits per label of independent binary labels."""
    each = [binary_information(p, e) for p, e in zip(priors, noises, strict=True)]
    return sum(each) / len(each)


def tagging_information(entity_share: float, n_tags: int, noise: float) -> float:
    """Return the information in bits per word of tags of which only entity tags are flipped.

    Args:
        entity_share: share of words whose tag is not O.
        n_tags: balanced entity tags, at least 2.
        noise: share of entity tags flipped to another entity tag.
    """
    prior = binary_entropy(entity_share) + entity_share * log2(n_tags)
    left = entity_share * (binary_entropy(noise) + noise * log2(n_tags - 1))
    return prior - left


def full_information(task: TaskDesign) -> float:
    """Return the information, in bits per label or word, for who knows every word's attribute."""
    match task.rule.kind:
        case Kind.TOKEN:
            n_words = len(task.rule.texts[0].split())
            return tagging_information(len(task.rule.asked) / n_words, 2, task.noise)
        case Kind.MULTILABEL:
            n = len(task.rule.asked)
            return multilabel_information((0.5,) * n, (task.noise,) * n)
        case _:
            return balanced_information(2, task.noise)


def planted(task: TaskDesign) -> Planted:
    """Return the truth that a task carries: what its single-task learner can reach.

    Where training shows none of the words asked about, that is 0: their attributes are
    independent of everything seen. Where it shows some, it has no closed form.
    """
    bits = (0.0 if task.hidden else full_information(task)) if task.planted_bits else None
    return Planted(bits, task.difficulty, f"f{task.family}")


def best_accuracy(task: TaskDesign) -> float:
    """Return the accuracy (per label, or per entity word) of who knows every attribute."""
    return 1 - task.noise


def true_log_posterior(world: World, task: str, split: Split) -> FloatArray:
    """Return the log-probability of each label for who knows every word's attribute.

    In natural logarithms, in the shapes of `groupbench.predictions.Output` and the order of the
    task's examples; minus infinity where a tag cannot occur. The mean over examples of
    ``log2(p_true / p_model)`` of the gold label is how many bits a model falls short.
    """
    import numpy as np

    design = world.design[task]
    true = world.draw(task)[split].true_values
    one = np.where(true == 1, 1 - design.noise, design.noise)
    with np.errstate(divide="ignore"):
        if design.rule.kind is Kind.MULTILABEL:
            return np.asarray(np.log(one))
        if design.rule.kind is not Kind.TOKEN:
            return np.asarray(np.log(np.stack([1 - one[:, 0], one[:, 0]], axis=1)))
        entity = np.array([part in {"W", "X"} for part in design.rule.texts[0].split()])
        tags = np.zeros((len(true), len(entity), 3))
        tags[:, ~entity, 0] = 1
        tags[:, entity, 1] = one
        tags[:, entity, 2] = 1 - one
        return np.asarray(np.log(tags.reshape(-1, 3)))
