"""From what a model said to a prediction, with an outcome and a reason for each example."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.llm.entities import read_entities, spans_to_bio, tag_indices
from groupbench.llm.folding import fold
from groupbench.llm.modes import Mode
from groupbench.llm.readers import Reason, Step, json_values, read_label, read_list
from groupbench.llm.wording import NO, YES
from groupbench.predictions import NO_ANSWER, Outcome, Output
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.llm.prompt import Prompt
    from groupbench.llm.wording import Wording
    from groupbench.task import Example, Task


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said to one question."""

    text: str | None
    finish_reason: str | None = None
    """``length`` where it ran into the cap, ``content_filter`` where the provider stopped it."""
    refusal: str | None = None
    """What it said instead of an answer."""
    token_ids: tuple[int, ...] | None = None
    """Of the text and perhaps its end mark; ``None``: not told."""

    @property
    def problem(self) -> Reason | None:
        """Why there is nothing to read, whatever the text looks like."""
        if self.refusal:
            return Reason.REFUSAL
        if self.finish_reason == "content_filter":
            return Reason.CONTENT_FILTER
        if self.finish_reason == "length":
            return Reason.LENGTH
        return None if (self.text or "").strip() else Reason.EMPTY


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read about one example."""

    names: frozenset[str] = frozenset()
    """single and pair: the one label; multilabel: all that apply."""
    tags: tuple[str, ...] = ()
    """token: of the words that were shown."""
    reason: Reason | None = None
    """Why there is no valid answer; ``None`` where there is one."""
    step: Step | None = None
    """How a label was found."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Multilabel: ``unknown`` items of a list; token: what became of the spans."""
    salvaged: bool = False
    raw: str = ""

    @property
    def outcome(self) -> Outcome:
        """What became of the example."""
        return Outcome.OK if self.reason is None else self.reason.outcome


def read_answer(
    wording: Wording, mode: Mode, prompt: Prompt, said: Sequence[Said], *, salvage: bool = False
) -> Reading:
    """Return what a model's replies to the questions of ``prompt`` come to.

    Args:
        wording: of the task.
        mode: in which it was asked; not score.
        prompt: what was asked.
        said: a reply to each of the prompt's questions.
        salvage: keep the complete entities of an answer that is cut or broken.

    Raises:
        ValueError: there is not one reply to each question.
    """
    if prompt.reason is not None:
        return Reading(reason=prompt.reason)
    if len(said) != len(prompt.questions):
        raise ValueError(f"{len(said)} replies to {len(prompt.questions)} questions")
    raw = "\n".join(each.text or each.refusal or "" for each in said)
    if wording.kind is Kind.MULTILABEL and mode is Mode.CHOICE:
        return _read_one_by_one(prompt, said, raw)
    problem, text = said[0].problem, said[0].text or ""
    if wording.kind is Kind.TOKEN and (problem is None or problem is Reason.LENGTH):
        return _read_tags(wording, prompt, said[0], raw, salvage=salvage)
    if problem is not None:
        return Reading(reason=problem, raw=raw)
    if wording.kind is Kind.MULTILABEL:
        return _read_labels(wording, text, raw)
    read = read_label(text, wording.surfaces)
    names = frozenset() if read.name is None else frozenset({read.name})
    return Reading(names=names, reason=read.reason, step=read.step, raw=raw)


def answers_output(
    task: Task, examples: Sequence[Example], prompts: Sequence[Prompt], answers: Sequence[Reading]
) -> Output:
    """Return answers as a runner returns them: nothing is mapped to a default label.

    Words that were cut off are predicted ``O``, and so is every word of a token task's example
    without a valid answer, since tags need some value; its outcome says that it is none.
    """
    outcomes = tuple(answer.outcome for answer in answers)
    cut = tuple(prompt.input_cut for prompt in prompts)
    index = {label: i for i, label in enumerate(task.labels)}
    rows: list[Any] = []
    for example, answer in zip(examples, answers, strict=True):
        if task.kind is Kind.TOKEN:
            tags = list(answer.tags)
            tags += ["O"] * (len(example.input) - len(tags))
            rows += tag_indices(tags, task.labels)
        elif task.kind is Kind.MULTILABEL:
            ok = answer.reason is None
            row = [int(label in answer.names) if ok else NO_ANSWER for label in task.labels]
            rows.append(row)
        else:
            rows.append(index[next(iter(answer.names))] if answer.reason is None else NO_ANSWER)
    predicted = np.asarray(rows, dtype=np.int32)
    if task.kind is Kind.MULTILABEL:
        predicted = predicted.reshape(len(answers), len(task.labels))
    return Output(
        predicted=predicted,
        outcomes=outcomes,
        input_cut=cut,
        raw=tuple(answer.raw for answer in answers),
    )


def _read_one_by_one(prompt: Prompt, said: Sequence[Said], raw: str) -> Reading:
    names = set()
    for question, reply in zip(prompt.questions, said, strict=True):
        reason = reply.problem
        if reason is None:
            read = read_label(reply.text or "", {YES: [YES], NO: [NO]})
            reason = read.reason
            if read.name == YES and question.label is not None:
                names.add(question.label)
        if reason is not None:
            return Reading(reason=reason, raw=raw)
    return Reading(names=frozenset(names), raw=raw)


def _read_labels(wording: Wording, text: str, raw: str) -> Reading:
    """Read a JSON object of booleans, a JSON list, or a list in words."""
    names = {fold(s): name for name, listed in wording.surfaces.items() for s in listed}
    for value in json_values(text):
        listed = value
        if isinstance(value, dict):
            listed = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
            if listed is None:
                return _read_booleans(value, names, len(wording.names), raw)
        if isinstance(listed, list):
            items = [fold(str(item)) for item in listed]
            found = frozenset(names[item] for item in items if item in names)
            return _listed(found, sum(item not in names for item in items), raw)
    read = read_list(text, wording.surfaces)
    return Reading(reason=Reason.EMPTY, raw=raw) if read is None else _listed(*read, raw)


def _read_booleans(
    value: Mapping[str, Any], names: Mapping[str, str], n_labels: int, raw: str
) -> Reading:
    said: dict[str, bool] = {}
    unknown = 0
    for key, there in value.items():
        name = names.get(fold(key))
        truth = _TRUTH.get(fold(str(there)))
        if name is None or truth is None:
            unknown += 1
        elif said.setdefault(name, truth) != truth:
            return Reading(reason=Reason.AMBIGUOUS, raw=raw)
    if len(said) < n_labels:  # a label that is left out is not a no
        return Reading(reason=Reason.UNPARSABLE, counts={"unknown": unknown}, raw=raw)
    found = frozenset(name for name, truth in said.items() if truth)
    return Reading(names=found, counts={"unknown": unknown}, raw=raw)


_LISTS = ("labels", "answer")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _listed(found: frozenset[str], unknown: int, raw: str) -> Reading:
    reason = Reason.UNPARSABLE if unknown and not found else None
    return Reading(names=found, reason=reason, counts={"unknown": unknown}, raw=raw)


def _read_tags(wording: Wording, prompt: Prompt, said: Said, raw: str, *, salvage: bool) -> Reading:
    truncated = said.problem is Reason.LENGTH
    read = read_entities(said.text or "", truncated=truncated, salvage=salvage)
    if read.reason is not None:
        return Reading(reason=read.reason, raw=raw)
    names = {fold(s): name for name, listed in wording.surfaces.items() for s in listed}
    spans = [
        {**span, "type": names.get(fold(str(span.get("type"))))} if isinstance(span, dict) else span
        for span in read.spans
    ]
    tags, report = spans_to_bio(tuple(prompt.given), spans, wording.names)
    return Reading(tags=tuple(tags), counts=dict(report), salvaged=read.salvaged, raw=raw)
