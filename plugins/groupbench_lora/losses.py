"""Losses of answers: n lessons, padded on the right; what is no answer counts nothing."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from groupbench.llm.lessons import Lesson

CPU_TOKENS = 2_048
GPU_TOKENS = 4_096
"""Of one pass, padding included. A single longer lesson goes alone."""


def answer_losses(net: Any, lessons: Sequence[Lesson]) -> torch.Tensor:  # noqa: ANN401 - transformers has no types
    """Return the mean loss of each lesson over the tokens of its answer, in nats. ``[n]``."""
    device = net.device
    width = max(map(len, lessons)) - 1  # nothing is predicted from the last token
    ids = torch.zeros(len(lessons), width, dtype=torch.long)
    mask = torch.zeros(len(lessons), width, dtype=torch.long)
    rows: list[int] = []
    places: list[int] = []
    wanted: list[int] = []
    for i, lesson in enumerate(lessons):
        whole = (*lesson.prompt, *lesson.answer)[:-1]
        ids[i, : len(whole)] = torch.tensor(whole)
        mask[i, : len(whole)] = 1
        rows += [i] * len(lesson.answer)
        places += range(len(lesson.prompt) - 1, len(whole))
        wanted += lesson.answer
    options: dict[str, Any] = {}
    column = {place: place for place in places}
    if "logits_to_keep" in inspect.signature(net.forward).parameters:
        kept = sorted(set(places))
        options["logits_to_keep"] = torch.tensor(kept, device=device)
        column = {place: k for k, place in enumerate(kept)}
    out = net(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **options)
    owner = torch.tensor(rows, device=device)
    read = out.logits[owner, torch.tensor([column[place] for place in places], device=device)]
    target = torch.tensor(wanted, device=device)
    losses = functional.cross_entropy(read.float(), target, reduction="none")
    n_tokens = torch.tensor([len(lesson.answer) for lesson in lessons], device=device)
    return losses.new_zeros(len(lessons)).index_add(0, owner, losses) / n_tokens


def passes(
    lessons: Sequence[tuple[float, Lesson]], device: str, divisor: int = 1
) -> Iterator[list[tuple[float, Lesson]]]:
    """Yield weighted lessons in parts that go through the model together, of like length.

    Args:
        lessons: with what each counts.
        device: ``cpu`` or ``cuda``.
        divisor: 2 after memory ran out: parts half as large.
    """
    room = (CPU_TOKENS if device == "cpu" else GPU_TOKENS) // divisor
    most = max(1, -(-len(lessons) // divisor))
    part: list[tuple[float, Lesson]] = []
    for weight, lesson in sorted(lessons, key=lambda each: len(each[1])):
        if part and ((len(part) + 1) * len(lesson) > room or len(part) == most):
            yield part
            part = []
        part.append((weight, lesson))
    if part:
        yield part


@torch.inference_mode()
def mean_answer_loss(net: Any, lessons: Sequence[tuple[Lesson, ...]]) -> float:  # noqa: ANN401 - as above
    """Return the mean loss of answers in nats: over tokens, then questions, then examples."""
    weighted = [(1 / len(each), lesson) for each in lessons for lesson in each]
    total = 0.0
    for part in passes(weighted, net.device.type):
        losses = answer_losses(net, [lesson for _, lesson in part]).double()
        total += float((losses * losses.new_tensor([weight for weight, _ in part])).sum())
    return total / len(lessons)
