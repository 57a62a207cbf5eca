"""The runner ``quill``."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from groupbench import Place, Resources
from groupbench.llm import (
    Abilities,
    MessagesForm,
    Price,
    PromptedRunner,
    Redactor,
    Served,
    StoredAnswers,
    open_served,
    read_key,
)
from groupbench_quill.client import QuillClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from groupbench import FitRequest, Group, Suite
    from groupbench.llm import Model

KEY = "QUILL_KEY"


@dataclass(frozen=True)
class QuillRunner(PromptedRunner):
    """Prompts a model of Quill."""

    name: ClassVar[str] = "quill"
    summary: ClassVar[str] = "models of Quill"

    model: str = field(default="feather-1", metadata={"in_label": True})
    """Quill's name of the model."""
    url: str = "https://api.quill.invalid/v1"
    """Where Quill's API is."""

    @property
    def served(self) -> Served:
        return Served("quill", self.model)

    def availability(self) -> str | None:
        return None if os.environ.get(KEY) else f"No API key: set the environment variable {KEY}"

    def place(self) -> Place:
        return Place.EXTERNAL

    def resources(self, group: Group, suite: Suite) -> Resources:  # noqa: ARG002 - the contract
        return Resources(lane="quill")

    def identity(self) -> Mapping[str, Any]:
        return {"snapshot": self.model}

    def abilities(self) -> Abilities:
        return Abilities(MessagesForm(shots_as=self.shots_as), 8192, frozenset({"chat"}))

    def price(self) -> Price:
        return Price(self.model, input=1.0, output=2.0)

    def stored_answers(self) -> StoredAnswers:
        return StoredAnswers(self.model, self.served, self.abilities())

    @contextmanager
    def open(self, request: FitRequest) -> Iterator[Model]:
        key = read_key(KEY)
        with open_served(
            request,
            QuillClient(self.url, key),
            self.model,
            self.served,
            self.abilities(),
            price=self.price(),
            redact=Redactor([key]),
        ) as model:
            yield model
