"""A tiny Llama, and tasks in which a word of the text decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from learnable import LABELS, MakeRequest, rows
from llamas import build_llama

from groupbench.runner import FitRequest, TaskInput
from groupbench.task import Kind, Materialised, Split, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _given(kind: Kind, n: int) -> TaskInput:
    dev = rows(kind, 24, "dev")
    predict = {Split.TEST: rows(kind, 60 if kind is Kind.SINGLE else 8, "test")}
    if kind is Kind.SINGLE:  # writing takes long
        predict |= {Split.DEV_A: dev, Split.DEV_B: rows(kind, 8, "dev-b")}
    return TaskInput(
        Task(str(kind), kind, LABELS[kind], ("accuracy",), Materialised({})),
        rows(kind, n, "train"),
        dev,
        {split: tuple(e.without_gold() for e in each) for split, each in predict.items()},
    )


@pytest.fixture(scope="session")
def make_request() -> MakeRequest:
    """Makes a request of tasks of some kinds; a loss at the prior is believed."""

    def make(*kinds: Kind, n: int = 160, seed: int = 0, **more: object) -> FitRequest:
        tasks = tuple(_given(kind, n) for kind in sorted(kinds))
        return FitRequest(tasks, seed, **{"last_attempt": True, **more})  # type: ignore[arg-type] # as the test says

    return make


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny model in Llama 3's manner."""
    pytest.importorskip("torch")
    pytest.importorskip("peft")
    folder: Path = tmp_path_factory.mktemp("llamas") / "llama3"
    return str(build_llama(folder, "llama3"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are slower on several threads, and far slower where other tests run too."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
