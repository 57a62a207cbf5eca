"""The canary: proof that a server answers with an adapter, before anything it says is kept.

Servers have applied no adapter, or half of one, without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from groupbench.errors import GroupbenchError
from groupbench.llm.prompt import Prompt, Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from groupbench.canonical import Json
    from groupbench.llm.lessons import Lesson
    from groupbench.llm.model import Model
    from groupbench.predictions import FloatArray
    from groupbench_lora.prepare import PreparedTask

PER_TASK = 3
"""Prompts of each task."""
_ANSWER = 8
"""Tokens of a written answer that are read."""

TOLERANCE = {("cpu", "float32"): 1e-4, ("cuda", "float32"): 1e-2}
"""In nats, by device and dtype, between two computations of a label's score."""
COARSE = 0.5
"""In bfloat16, for a label of a few tokens."""


class CanaryError(GroupbenchError):
    """A server does not answer with the adapter it was given."""


def tolerance(device: str, dtype: str) -> float:
    """Return by how much, in nats, a score may differ between the server and this process."""
    return TOLERANCE.get((device, dtype), COARSE)


def canary_prompts(tasks: Mapping[str, PreparedTask]) -> list[Prompt]:
    """Return a few prompts of each task: labels to read, or the first tokens of right answers."""
    prompts: list[Prompt] = []
    for task in tasks.values():
        asked = [task.prompter.prompt(e) for e in task.dev_a[:PER_TASK]] if task.scored else []
        found = [prompt for prompt in asked if prompt.questions]
        if not found:
            found = [_of_lesson(each[0]) for each in task.train[:PER_TASK]]
        prompts += found
    return prompts


def prove(  # noqa: PLR0913 - three models to compare
    name: str, prompts: Sequence[Prompt], *, peft: Model, served: Model, base: Model, allowed: float
) -> Mapping[str, Json]:
    """Return how far the server is from peft and from the base model, in nats.

    Args:
        name: of the adapter, for messages.
        prompts: whose labels are read.
        peft: the adapter in this process.
        served: the adapter as the server applies it.
        base: the server without it.
        allowed: `tolerance`.

    Raises:
        CanaryError: the server's reads are not peft's, or no other than those of the base model.
    """
    wanted = _reads(name, peft, prompts)
    off = float(np.abs(_reads(name, served, prompts) - wanted).max())
    moved = float(np.abs(_reads(name, base, prompts) - wanted).max())
    if moved <= 2 * allowed:
        raise CanaryError(
            f"The adapter {name} moves no label by more than {moved:.2g} nats, so that nothing can"
            " prove that the server applies it; train longer, or with a higher lr, or use engine ="
            " 'transformers'."
        )
    if not off <= allowed:
        raise CanaryError(
            f"The vLLM server does not apply the adapter {name} as peft does: label scores of"
            f" {len(prompts)} prompts differ by up to {off:.2g} nats, where {allowed:g} is allowed"
            f" (without the adapter: {moved:.2g}). None of its answers was kept; use engine ="
            " 'transformers', or another vLLM."
        )
    return {"prompts": len(prompts), "off_nats": off, "moved_nats": moved, "allowed_nats": allowed}


def _reads(name: str, model: Model, prompts: Iterable[Prompt]) -> FloatArray:
    sums = []
    for read in model.read(prompts):
        if not isinstance(read, tuple):
            raise CanaryError(f"The vLLM server refuses a prompt to the adapter {name}: {read}.")
        sums += [each.sums for each in read]
    return np.concatenate(sums)


def _of_lesson(lesson: Lesson) -> Prompt:
    question = Question(
        text="",
        ids=lesson.prompt,
        messages=None,
        n_tokens=len(lesson.prompt),
        continuations={"answer": lesson.answer[:_ANSWER]},
    )
    return Prompt(
        id="canary", questions=(question,), parts={}, shots=(), given="", max_tokens=_ANSWER
    )
