"""The arms of the throughput benchmark: the runner ``encoder`` and transformers' Trainer.

Each fine-tunes the same weights on the same rows, cut at the same length, and is timed from its
first step to its last by a callback, so that reading, tokenising and loading are no part of it.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from groupbench.cards.card import load_card
from groupbench.runner import FitRequest, TaskInput
from groupbench.task import Kind, Split
from groupbench_encoder.runner import EncoderRunner

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "all-MiniLM-L6-v2"
LEARNING_RATE = 3e-4
BATCH = 32
OURS = "groupbench"
DEFAULTS = "Trainer, defaults"
SAME_BATCH = "Trainer, defaults but batch 32"
BEST = "Trainer, best"


@dataclass(frozen=True, slots=True)
class Asked:
    """One fit to be timed."""

    arm: str
    card: Path
    n_rows: int
    n_test: int
    epochs: int
    seed: int
    threads: int
    bf16: bool
    max_length: int
    """Where inputs are cut, in sub-words."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What one fit took from its first step to its last, and how good it became."""

    n_examples: int
    """Repeats counted."""
    n_rows: int
    cpu_seconds: float
    system_seconds: float
    """Of ``cpu_seconds`` those in the kernel: nearly all of them hand out fresh memory."""
    began: float
    """By a clock that all processes share."""
    ended: float
    whole_cpu_seconds: float
    """Loading, tokenising and predicting the test rows too."""
    accuracy: float
    log_loss: float
    """Of the test rows, in nats."""

    @property
    def per_cpu_second(self) -> float:
        """Examples trained on for each CPU-second."""
        return self.n_examples / self.cpu_seconds

    @property
    def per_wall_second(self) -> float:
        """Examples trained on for each second."""
        return self.n_examples / (self.ended - self.began)

    def as_json(self) -> dict[str, float]:
        """Return it as results keep it."""
        return asdict(self)


class Marks:
    """When training began and ended: a probe of groupbench; a callback of the Trainer sets it."""

    name: ClassVar[str] = "marks"
    acts_during_training: ClassVar[bool] = True

    def __init__(self) -> None:
        self.began = self.ended = os.times()

    def before_training(self, model: object) -> None:
        del model
        self.began = os.times()

    def after_step(self, model: object, step: int) -> None:
        del model, step
        self.ended = os.times()

    def finish(self, model: object) -> dict[str, Any]:
        del model
        return {}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that every arm trains and is judged on."""

    train: TaskInput
    gold: np.typing.NDArray[Any]

    @classmethod
    def of(cls, asked: Asked) -> Rows:
        """Read them, and keep the first of each split: the files are shuffled."""
        task = load_card(asked.card).task()
        if task.kind not in {Kind.SINGLE, Kind.PAIR}:
            raise SystemExit(f"{asked.card}: kind = {task.kind}; the Trainer's arms need a label.")
        test = task.examples(Split.TEST)[: asked.n_test]
        train = TaskInput(
            task=task.with_data({}),
            train=task.examples(Split.TRAIN)[: asked.n_rows],
            dev_a=(),  # the Trainer does not look at it at its defaults, so neither do we
            predict={Split.TEST: tuple(example.without_gold() for example in test)},
        )
        return cls(train, np.asarray([example.gold for example in test]))


def fit(asked: Asked) -> Timed:
    """Train once and return what that took. Runs in a process of its own."""
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    rows = Rows.of(asked)
    marks = Marks()
    started = time.process_time()
    train = _ours if asked.arm == OURS else _trainer
    log_probs = train(asked, rows, marks)
    whole = time.process_time() - started
    system = marks.ended.system - marks.began.system
    return Timed(
        n_examples=len(rows.train.train) * asked.epochs,
        n_rows=len(rows.train.train),
        cpu_seconds=marks.ended.user - marks.began.user + system,
        system_seconds=system,
        began=marks.began.elapsed,
        ended=marks.ended.elapsed,
        whole_cpu_seconds=whole,
        accuracy=float((log_probs.argmax(1) == rows.gold).mean()),
        log_loss=float(-log_probs[np.arange(len(rows.gold)), rows.gold].mean()),
    )


def _ours(asked: Asked, rows: Rows, marks: Marks) -> np.typing.NDArray[Any]:
    runner = EncoderRunner(
        model=MODEL,
        epochs=asked.epochs,
        lr=LEARNING_RATE,
        batch_size=BATCH,
        max_length=asked.max_length,
        device="cpu",
        dtype="bfloat16" if asked.bf16 else "float32",
        threads=asked.threads,
    )
    request = FitRequest((rows.train,), asked.seed, probes=(marks,), last_attempt=True)
    output = runner.fit(request).outputs[rows.train.task.name][Split.TEST]
    return np.asarray(output.log_probs)


def _trainer(asked: Asked, rows: Rows, marks: Marks) -> np.typing.NDArray[Any]:
    """Fine-tune as the tutorials of transformers do.

    Nothing is saved or reported, which is in the Trainer's favour.
    """
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )
    from transformers.utils import logging

    class Timer(TrainerCallback):  # type: ignore[misc] # transformers has no types here
        def on_train_begin(self, *_: object, **__: object) -> None:
            marks.began = os.times()

        def on_train_end(self, *_: object, **__: object) -> None:
            marks.ended = os.times()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    set_seed(asked.seed)
    folder = str(EncoderRunner(model=MODEL).source.find())
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, model_max_length=asked.max_length
    )
    best = asked.arm == BEST
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(rows.train.task.labels), local_files_only=True
    )
    chosen: dict[str, Any] = {}
    if asked.arm != DEFAULTS:
        chosen["per_device_train_batch_size"] = BATCH
    if best:
        chosen |= {"train_sampling_strategy": "group_by_length", "optim": "adamw_torch_fused"}
        chosen |= {"bf16": asked.bf16, "warmup_steps": 0.1, "weight_decay": 0.01}
    with tempfile.TemporaryDirectory() as output:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=output,
                num_train_epochs=asked.epochs,
                learning_rate=LEARNING_RATE,
                seed=asked.seed,
                use_cpu=True,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
                **chosen,
            ),
            train_dataset=tokenised(tokenizer, rows.train.train, labelled=True, plain=best),
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            callbacks=[Timer()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        test = tokenised(tokenizer, rows.train.predict[Split.TEST], labelled=False, plain=best)
        logits = torch.from_numpy(trainer.predict(test).predictions)
    return np.asarray(torch.log_softmax(logits.double(), -1))


def tokenised(tokenizer: Any, examples: Any, *, labelled: bool, plain: bool) -> Any:  # noqa: ANN401 - of libraries without types
    """Return tokenised examples: a `datasets.Dataset` as in tutorials, or a plain list, quicker."""
    pairs = [(e.input, None) if isinstance(e.input, str) else e.input for e in examples]
    columns: dict[str, Any] = {"text": [a for a, _ in pairs]}
    if pairs and pairs[0][1] is not None:
        columns["text_pair"] = [b for _, b in pairs]
    if labelled:
        columns["label"] = [e.gold for e in examples]

    def encode(batch: dict[str, Any]) -> Any:  # noqa: ANN401 - a BatchEncoding
        texts = [batch[name] for name in ("text", "text_pair") if name in batch]
        return tokenizer(*texts, truncation=True)

    if plain:
        found = encode(columns)
        if labelled:
            found["label"] = columns["label"]
        return [{key: found[key][i] for key in found} for i in range(len(pairs))]
    import datasets

    datasets.disable_progress_bars()
    made = datasets.Dataset.from_dict(columns).map(encode, batched=True)
    return made.remove_columns([name for name in ("text", "text_pair") if name in columns])
