"""Every shared task can be put to a language model as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from groupbench.cards.card import load_card
from groupbench.cards.paths import find_cards
from groupbench.llm import MessagesForm, Mode, PromptBuilder, ShotPool, Wording
from groupbench.task import Kind, Split

SHARED = Path(
    os.environ.get("GROUPBENCH_SHARED") or Path(__file__).parents[3].parent / "shared" / "data"
)
CARDS = find_cards(SHARED) if SHARED.is_dir() else []

pytestmark = pytest.mark.skipif(
    not CARDS, reason=f"no task cards in {SHARED}; GROUPBENCH_SHARED can name another folder"
)


def test_every_card_has_wording_and_only_the_largest_label_set_is_warned_about() -> None:
    wordings = {task.name: Wording.of(task) for task in (load_card(path).task() for path in CARDS)}

    warned = {name for name, wording in wordings.items() if wording.warnings}
    assert warned == {name for name, wording in wordings.items() if len(wording.names) > 40}
    for wording in wordings.values():
        assert all(wording.surface(name) in wording.labels_text() for name in wording.names)


@pytest.mark.parametrize("kind", Kind)
def test_shots_of_a_real_task_are_clean_and_its_prompts_fit(kind: Kind) -> None:
    tasks = (load_card(path).task() for path in CARDS)
    task = min((task for task in tasks if task.kind is kind), key=lambda task: task.name)
    mode = Mode.JSON if kind is Kind.TOKEN else Mode.TEXT
    builder = PromptBuilder(task, Wording.of(task), mode, MessagesForm(), limit=4096)
    held = [e for split in Split if split is not Split.TRAIN for e in task.examples(split)]

    pool = ShotPool(task, task.examples(Split.TRAIN), avoid=held, too_long=builder.too_long(8))
    shots = pool.pick(8, seed=0)

    assert len(shots) == 8
    assert not {shot.text for shot in shots} & {e.text for e in held}
    for example in task.examples(Split.TEST)[:20]:
        prompt = builder.build(example, shots)
        assert prompt.reason is None
        assert prompt.n_tokens + prompt.max_tokens <= 4096
        assert len(prompt.shots) + prompt.shots_dropped == 8
