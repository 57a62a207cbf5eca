"""The canary, with models that say what they are told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from groupbench.llm.model import Abilities, ModelUse
from groupbench.llm.prompt import Prompt
from groupbench.llm.readers import Reason
from groupbench.llm.reads import LabelReads
from groupbench_lora.canary import CanaryError, prove, tolerance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROMPTS = [Prompt(str(i), (), {}, (), "", 1) for i in range(3)]


@dataclass
class Telling:
    """A model whose labels score ``score`` and one nat less."""

    score: float
    refuses: bool = False
    abilities: Any = Abilities

    def read(self, prompts: Iterable[Prompt]) -> Iterator[tuple[LabelReads, ...] | Reason]:
        for _ in prompts:
            sums = np.array([self.score, self.score - 1])
            reads = LabelReads(sums, sums, np.array([1, 1]))
            yield Reason.PROMPT_TOO_LONG if self.refuses else (reads,)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Any]:
        raise AssertionError(f"a canary reads labels and asks for no text: {prompts}")

    def use(self) -> ModelUse:
        return ModelUse()


def proven(peft: float, served: float, base: float, **more: Any) -> Any:
    models = {"peft": Telling(peft), "served": Telling(served, **more), "base": Telling(base)}
    return prove("a", PROMPTS, **models, allowed=1e-4)


def test_a_server_that_says_what_peft_says_is_believed() -> None:
    proof = proven(-1.0, -1.00005, -3.0)
    assert proof["off_nats"] == pytest.approx(5e-5)
    assert proof["moved_nats"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("peft", "served", "base", "message"),
    [
        (-1.0, -3.0, -3.0, r"does not apply the adapter a as peft does: .* differ by up to 2 nats"),
        (-1.0, -1.17, -3.0, r"up to 0.17 nats, where 0.0001 is allowed \(without the adapter: 2\)"),
        (-1.0, float("nan"), -3.0, "does not apply the adapter a"),
        (-3.0, -3.0, -3.0, "moves no label by more than 0 nats"),
    ],
)
def test_any_other_answer_is_an_error(
    peft: float, served: float, base: float, message: str
) -> None:
    with pytest.raises(CanaryError, match=message):
        proven(peft, served, base)


def test_a_prompt_that_is_refused_is_one_too() -> None:
    with pytest.raises(CanaryError, match="refuses a prompt to the adapter a"):
        proven(-1.0, -1.0, -3.0, refuses=True)


def test_only_float32_on_a_processor_is_exact() -> None:
    exact, coarse = tolerance("cpu", "float32"), tolerance("cuda", "bfloat16")
    assert (exact, coarse) == (1e-4, 0.5)
