"""What is answered already: which prompts the response store holds all answers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.llm.prompt_requests import PromptRequests
from groupbench.llm.responses import ResponseStore, default_path, response_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from groupbench.canonical import Json
    from groupbench.llm.model import Abilities
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.responses import Served


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """What the response store holds of one model, for `PromptedRunner.n_answered`.

    Fields are what `groupbench.llm.open_served` is given, so that keys are the same.
    """

    name: str
    """Of the model, as the server knows it."""
    served: Served
    """What answers."""
    abilities: Abilities
    """What the server can do with the model."""
    dress: Callable[[dict[str, Json]], dict[str, Json]] | None = None
    """Changes the body of a chat request into what the provider wants."""

    def count(self, prompts: Sequence[Prompt]) -> int:
        """Return how many prompts are answered, so that they would cost nothing.

        Nothing is sent and nothing is written.

        Raises:
            StoreError: the response store cannot be read.
        """
        path = default_path()
        if not path.exists():
            return 0
        requests = PromptRequests(self.name, self.abilities, self.dress)
        with ResponseStore(path, read_only=True) as store:
            return sum(self._held(requests, prompt, store) for prompt in prompts)

    def _held(self, requests: PromptRequests, prompt: Prompt, store: ResponseStore) -> bool:
        made = requests.of(prompt)
        return bool(made) and all(
            store.holds(response_key(self.served, one.path, one.body, one.sample)) for one in made
        )
