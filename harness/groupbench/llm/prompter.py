"""All prompts of one task in one fit: wording, mode, shots and builder put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.llm.budget import OnLong
from groupbench.llm.builder import PromptBuilder
from groupbench.llm.modes import Mode, choose_mode
from groupbench.llm.shots import ShotPool
from groupbench.llm.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from groupbench.llm.model import Abilities
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.prompted import PromptedRunner
    from groupbench.runner import TaskInput
    from groupbench.task import Example


@dataclass(frozen=True, slots=True)
class Prompter:
    """Makes the prompts of one task: equal settings, inputs and seed make equal prompts."""

    builder: PromptBuilder
    pool: ShotPool
    fixed: tuple[Example, ...]
    """The shots of all examples, or where each has its own, of prompts without an example."""
    k: int
    per_example: bool
    seed: int

    @classmethod
    def of(
        cls, settings: PromptedRunner, abilities: Abilities, given: TaskInput, seed: int
    ) -> Prompter:
        """Return the prompter of a task.

        Raises:
            SettingError: the task cannot be asked about in the mode of the settings.
            CardError: the wording of the task cannot be used.
        """
        task = given.task
        mode = choose_mode(settings.mode, task.kind, abilities.capabilities)
        limit = min(abilities.limit, settings.max_length or abilities.limit)
        builder = PromptBuilder(
            task,
            Wording.of(task, label_order=settings.label_order, seed=seed),
            mode,
            abilities.form,
            limit,
            on_long=OnLong(settings.on_long),
            seed=seed,
            reasoning_reserve=settings.reasoning_reserve(),
            max_output=settings.max_output,
        )
        predicted = [e for examples in given.predict.values() for e in examples]
        pool = ShotPool(
            task,
            given.train if settings.shots else (),
            avoid=[*given.dev_a, *predicted],
            too_long=builder.too_long(settings.shots),
        )
        return cls(
            builder,
            pool,
            pool.pick(settings.shots, seed=seed),
            settings.shots,
            settings.shot_set == "per_example",
            seed,
        )

    @property
    def mode(self) -> Mode:
        """In which the task is asked about."""
        return self.builder.mode

    @property
    def wording(self) -> Wording:
        """Of the task."""
        return self.builder.wording

    def prompt(self, example: Example) -> Prompt:
        """Return the prompt of one example; its gold is not looked at."""
        return self.builder.build(example, self._shots(example))

    def lesson_prompt(self, example: Example) -> Prompt:
        """Return the prompt of a training example, which is not among its own shots."""
        shots = tuple(shot for shot in self._shots(example) if shot.id != example.id)
        return self.builder.build(example, shots)

    def prompts(self, examples: Iterable[Example]) -> Iterator[Prompt]:
        """Yield the prompt of each example."""
        return map(self.prompt, examples)

    def _shots(self, example: Example) -> tuple[Example, ...]:
        if self.per_example and self.k:
            return self.pool.pick(self.k, seed=self.seed, example_id=example.id)
        return self.fixed
