"""A tiny Llama that has learnt a calibration task, so that a right answer is no accident.

It reads the prompts of the runners, of the train split alone; the labels stand in them as the list
of possible answers and nowhere else. ``python tests/support/trained_llama.py FOLDER`` writes one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llamas import build_llama

TASK = "f0_cue"
"""Two labels, 500 test examples, of which the best possible classifier gets about 88 % right."""

EPOCHS, BATCH, RATE = 6, 32, 2e-3


def train_llama(folder: Path, manner: str) -> Path:
    """Write a model that has learnt `TASK` into ``folder``; about a minute on one core."""
    import torch
    from transformers import LlamaForCausalLM

    from groupbench.llm import Prompter
    from groupbench.llm.lessons import lessons_of
    from groupbench.runner import TaskInput
    from groupbench.task import Split
    from groupbench_hf_lm.runner import HfLmRunner
    from groupbench_tasks.calibration.suites import Calibration

    (task,) = (task for task in Calibration().build() if task.name == TASK)
    train = task.loader()[Split.TRAIN]
    build_llama(folder, manner, spread=0.03, words=tuple(str(example.input) for example in train))
    runner = HfLmRunner(model=str(folder), mode="score")
    given = TaskInput(task, train, (), {})
    prompter = Prompter.of(runner, runner.abilities(), given, seed=0)
    lessons = [lesson for example in train for lesson in lessons_of(prompter, example)]

    model = LlamaForCausalLM.from_pretrained(folder)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    steps = EPOCHS * (len(lessons) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.1)
    chance = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(lessons), generator=chance).tolist()
        for start in range(0, len(lessons) - BATCH + 1, BATCH):
            batch = [lessons[i] for i in order[start : start + BATCH]]
            longest = max(map(len, batch))
            ids = torch.zeros(BATCH, longest, dtype=torch.long)
            learned = torch.full((BATCH, longest), -100)
            for row, lesson in enumerate(batch):
                n, end = len(lesson.prompt), len(lesson)
                ids[row, :end] = torch.tensor(lesson.prompt + lesson.answer)
                learned[row, n:end] = ids[row, n:end]
            # What pads stands behind the answer, where causal attention does not look.
            loss = model(input_ids=ids, labels=learned).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    model.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    train_llama(Path(sys.argv[1]), "llama3")
