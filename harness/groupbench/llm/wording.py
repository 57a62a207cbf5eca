"""The wording of a task's prompts: named parts with defaults by kind, which its card overrides.

========== ============================== ============================== =====================
kind       input                          labels                         answer
========== ============================== ============================== =====================
single     ``Sentence: {text}``           ``Answer with one of: ...``    the label's surface
pair       ``{name_a}: {a}``, a line each the same                       the label's surface
multilabel ``Sentence: {text}``           ``Decide for each: ...``       see `groupbench.llm.Mode`
token      ``Sentence: {text}``           ``Entity types: ...``          spans as JSON
========== ============================== ============================== =====================

A single text with ``[E1] .. [/E1]`` and ``[E2] .. [/E2]`` in it asks for a relation: unless the
card words the cue, it is ``Relation of {e1} to {e2}:``.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from groupbench.canonical import digest
from groupbench.cards.prompt import answer_names, prompt_parts
from groupbench.errors import CardError
from groupbench.llm.folding import fold
from groupbench.llm.template import fill
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.task import Input, Task

YES, NO = "yes", "no"
"""What a question about one label of a multilabel task is answered with."""

MANY_LABELS = 40
"""Above this a prompt is little more than its label list, and a warning says so."""

_DEFAULTS: Mapping[Kind, Mapping[str, str]] = {
    Kind.SINGLE: {
        "instruction": "Classify the sentence.",
        "input": "Sentence: {text}",
        "labels": "Answer with one of: {labels}.",
        "cue": "Answer:",
    },
    Kind.PAIR: {
        "instruction": "Say how the two texts relate.",
        "input": "{name_a}: {a}\n{name_b}: {b}",
        "labels": "Answer with one of: {labels}.",
        "cue": "Answer:",
    },
    Kind.MULTILABEL: {
        "instruction": "Say which labels apply to the sentence; any number can.",
        "input": "Sentence: {text}",
        "labels": "Decide for each: {labels}.",
        "cue": "Answer:",
        "question": 'Does "{label}" apply? Yes or no:',
    },
    Kind.TOKEN: {
        "instruction": "Find the entities in the sentence.",
        "input": "Sentence: {text}",
        "labels": "Entity types: {labels}.",
        "cue": "Answer:",
    },
}
_RELATION_CUE = "Relation of {e1} to {e2}:"
_MARKED = {name: re.compile(rf"\[{name.upper()}\](.*?)\[/{name.upper()}\]", re.DOTALL)
           for name in ("e1", "e2")}  # fmt: skip
_OPAQUE = re.compile(r"[\d\W_]*|(label|class|[a-z])?[\W_]?\d+|[a-z]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wording:
    """How a task is put to a language model. Templates hold the names of `PLACEHOLDERS`."""

    kind: Kind
    names: tuple[str, ...]
    """What answers are made of, in the task's order: labels, or entity types."""
    surfaces: Mapping[str, tuple[str, ...]]
    """By name. The first is shown, scored and asked for; the others are only understood."""
    shown: tuple[str, ...]
    """``names`` in the order in which prompts list them."""
    instruction: str
    input: str
    labels: str
    cue: str
    """Stands right before the answer. Empty: ``Answer:``, or that of a relation."""
    question: str = ""
    """Asks about one label of a multilabel task."""
    name_a: str = "Text 1"
    name_b: str = "Text 2"
    definitions: Mapping[str, str] = field(default_factory=dict)
    """Of entity types, by type."""
    warnings: tuple[str, ...] = ()
    """What a user should mend in the card; for `FitResult.warnings`."""

    @classmethod
    def of(cls, task: Task, *, label_order: str = "card", seed: int = 0) -> Wording:
        """Return the wording of a task.

        Args:
            task: ``task.prompt`` overrides the defaults, part by part.
            label_order: ``card``, or ``seeded``: shuffled by ``seed`` and the task's name.
            seed: of the order.

        Raises:
            CardError: a part cannot be used, or two labels read the same once they are folded.
            ValueError: there is no such label order.
        """
        if label_order not in {"card", "seeded"}:
            raise ValueError(f"label_order = {label_order!r}; use card or seeded.")
        names = answer_names(task.kind, task.labels)
        if not names:
            raise CardError(f"{task.where}: labels hold no entity type, so a prompt asks nothing.")
        parts = _parts(task)
        worded: Mapping[str, list[str]] = json.loads(parts.get("verbalisers", "{}"))
        surfaces = (
            {name: tuple(worded[name]) for name in names} if worded else _own_surfaces(task, names)
        )
        shown = list(names)
        if label_order == "seeded":
            key = digest(["label order", seed, task.name])
            shown = random.Random(int(key, 16)).sample(sorted(names), len(names))  # noqa: S311 - an order, not a secret
        defaults = dict(_DEFAULTS[task.kind])
        if task.summary.strip():
            summary = task.summary.strip().rstrip(".")
            defaults["instruction"] = f"{summary}. {defaults['instruction']}"
        said = {name: parts.get(name, text) for name, text in defaults.items()}
        if task.kind is Kind.SINGLE and "cue" not in parts:
            said["cue"] = ""
        return cls(
            kind=task.kind,
            names=names,
            surfaces=surfaces,
            shown=tuple(shown),
            name_a=_role(parts.get("name_a", "Text 1")),
            name_b=_role(parts.get("name_b", "Text 2")),
            definitions=json.loads(parts.get("definitions", "{}")),
            warnings=_warnings(task, names, worded=bool(worded)),
            **said,
        )

    def surface(self, name: str) -> str:
        """Return what a label is called in prompts."""
        return self.surfaces[name][0]

    def instruction_text(self) -> str:
        """Return the instruction."""
        return fill(self.instruction, self._roles())

    def labels_text(self) -> str:
        """Return the part that lists the labels; entity types with their definitions."""
        listed = [self.surface(name) for name in self.shown]
        if self.kind is Kind.TOKEN:
            listed = [
                f"{surface}: {self.definitions[name]}" if name in self.definitions else surface
                for name, surface in zip(self.shown, listed, strict=True)
            ]
        # A list is not readable where its items hold its separator.
        comma = self.kind is not Kind.TOKEN and not any("," in surface for surface in listed)
        return fill(
            self.labels, {**self._roles(), "labels": (", " if comma else "; ").join(listed)}
        )

    def input_text(self, given: Input) -> str:
        """Return the input part of one example; words of a token task are joined by a blank."""
        if self.kind is Kind.PAIR:
            a, b = tuple(given)
            return fill(self.input, {**self._roles(), "a": a, "b": b})
        text = given if isinstance(given, str) else " ".join(given)
        return fill(self.input, {"text": text, **_arguments(text)})

    def cue_text(self, given: Input | None, label: str | None = None) -> str:
        """Return what comes right before the answer.

        Args:
            given: the input; ``None``: nothing of it shows, not even the arguments of a relation.
            label: asks about this label of a multilabel task alone.
        """
        text = given if isinstance(given, str) else ""
        values = {**self._roles(), **_arguments(text)}
        if label is not None:
            return fill(self.question, {**values, "label": self.surface(label)})
        if self.kind is Kind.SINGLE and not self.cue:
            both = all(_marks(text).values())
            return fill(_RELATION_CUE, values) if both else _DEFAULTS[self.kind]["cue"]
        return fill(self.cue, values)

    def n_words_needed(self, given: Input) -> int:
        """Return how many words an input must keep when it is cut from its end.

        Those up to the end of the last argument that the wording speaks of: without its mark a
        prompt would ask about something that is not there.
        """
        if not isinstance(given, str):
            return 0
        found = _marks(given)
        if not any(found.values()):
            return 0
        spoken_of = self._spoken_of() if not all(found.values()) or self.cue else frozenset(found)
        ends = [match.end() for name, match in found.items() if match and name in spoken_of]
        return len(given[: max(ends, default=0)].split())

    def _spoken_of(self) -> frozenset[str]:
        """Return which of ``e1`` and ``e2`` a template or a label names."""
        parts = (self.instruction, self.input, self.labels, self.cue, self.question)
        said = " ".join([*parts, *map(self.surface, self.names)])
        return frozenset(name for name in _MARKED if re.search(rf"\b{name}\b", said, re.IGNORECASE))

    def _roles(self) -> dict[str, str]:
        return {"name_a": self.name_a, "name_b": self.name_b}


def _parts(task: Task) -> dict[str, str]:
    """Return ``task.prompt`` checked again: a plugin may have made the task without a card."""
    prompt: dict[str, object] = dict(task.prompt)
    for table in ("verbalisers", "definitions"):
        if isinstance(said := prompt.get(table), str):
            try:
                prompt[table] = json.loads(said)
            except ValueError:
                raise CardError(
                    f"{task.where}: prompt {table} is not JSON; write it with json.dumps."
                ) from None
    return prompt_parts(task.kind, prompt, task.labels, {}, task.where)


def _own_surfaces(task: Task, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return labels as their own surfaces, understood also with blanks for ``_`` and ``-``."""
    owner: dict[str, str] = {}
    for name in names:
        folded = fold(name)
        if not folded or folded in owner:
            wrong = f"reads like {owner[folded]!r}" if folded else "is only punctuation"
            raise CardError(
                f"{task.where}: label {name!r} {wrong} in an answer; word the labels apart in"
                " [prompt.verbalisers]."
            )
        owner[folded] = name
    surfaces: dict[str, tuple[str, ...]] = {}
    for name in names:
        spaced = " ".join(re.sub(r"[_-]", " ", name).split())
        known = owner.setdefault(fold(spaced), name)
        own = " ".join(name.split())
        surfaces[name] = (own, spaced) if known == name and fold(spaced) != fold(own) else (own,)
    return surfaces


def _warnings(task: Task, names: tuple[str, ...], *, worded: bool) -> tuple[str, ...]:
    found = []
    if not worded and (opaque := [name for name in names if _OPAQUE.fullmatch(name)]):
        found.append(
            f"{task.name}: labels such as {opaque[0]!r} tell a language model nothing; word them in"
            " [prompt.verbalisers]."
        )
    if len(names) > MANY_LABELS:
        found.append(
            f"{task.name}: {len(names)} labels stand in every prompt; above {MANY_LABELS} language"
            " models confuse them, and prompts grow dear."
        )
    return tuple(found)


@lru_cache(maxsize=2)  # a prompt looks at its text several times
def _marks(text: str) -> Mapping[str, re.Match[str] | None]:
    return {name: mark.search(text) for name, mark in _MARKED.items()}


def _arguments(text: str) -> dict[str, str]:
    found = _marks(text).items()
    return {name: " ".join(mark[1].split()) if mark else name.upper() for name, mark in found}


def _role(name: str) -> str:
    return name[:1].upper() + name[1:]
