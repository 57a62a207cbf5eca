"""In what form an answer is asked for, and how a shot shows one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from groupbench.llm.entities import bio_to_spans
from groupbench.llm.folding import fold
from groupbench.llm.modes import Mode
from groupbench.llm.shots import NOTHING, strata
from groupbench.task import Kind

if TYPE_CHECKING:
    from groupbench.llm.wording import Wording
    from groupbench.task import Example, Task


def format_text(wording: Wording, mode: Mode) -> str:
    """Return the sentence that says in what form to answer; empty where that goes without."""
    match wording.kind, mode:
        case Kind.MULTILABEL, (Mode.SCORE | Mode.CHOICE):
            return "Answer yes or no."
        case Kind.MULTILABEL, Mode.JSON:
            return "Answer with a JSON object that holds true or false for each of them."
        case Kind.MULTILABEL, Mode.TEXT:
            return (
                "Answer with those that apply, one after the other with"
                f" '{list_separator(wording).strip()}' between them, or with '{no_label(wording)}'."
            )
        case Kind.TOKEN, _:
            return (
                'Answer with JSON like {"entities": [{"text": "...", "type": "..."}]}, in order of'
                " appearance, every text copied exactly from the sentence."
            )
        case _, Mode.JSON:
            return 'Answer with JSON like {"label": "..."}.'
    return ""


def answer_text(task: Task, wording: Wording, mode: Mode, example: Example) -> str:
    """Return the answer that a shot shows, in the form that ``mode`` asks for.

    Raises:
        ValueError: the example has no gold label.
    """
    held = strata(task, example) - {NOTHING}
    if task.kind is Kind.TOKEN:
        tags = [task.labels[i] for i in example.gold]  # type: ignore[union-attr] # a token task's
        spans = bio_to_spans(example.input, tags)
        named = [{**span, "type": wording.surface(span["type"])} for span in spans]
        return json.dumps({"entities": named}, ensure_ascii=False)
    if task.kind is Kind.MULTILABEL:
        if mode is Mode.JSON:
            said = {wording.surface(name): name in held for name in wording.shown}
            return json.dumps(said, ensure_ascii=False)
        surfaces = [wording.surface(name) for name in wording.shown if name in held]
        return list_separator(wording).join(surfaces) or no_label(wording)
    surface = wording.surface(next(iter(held)))
    return json.dumps({"label": surface}, ensure_ascii=False) if mode is Mode.JSON else surface


def list_separator(wording: Wording) -> str:
    """Return what stands between the labels of a list: a semicolon where labels hold commas."""
    commas = any("," in wording.surface(name) for name in wording.names)
    return "; " if commas else ", "


def no_label(wording: Wording) -> str:
    """Return the answer that says that no label applies."""
    taken = {fold(surface) for listed in wording.surfaces.values() for surface in listed}
    return "no labels" if "none" in taken else "none"
