"""Log-likelihoods of labels behind a real vLLM are those of ``hf-lm``, fit against fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from prompting import LABELS, an_example, make_task, train_of

from groupbench.llm.fitting import SCORES
from groupbench.runner import FitRequest, TaskInput
from groupbench.task import Kind, Split
from groupbench_hf_lm.runner import HfLmRunner
from groupbench_vllm.runner import VllmRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NATS = 1e-4
WORDED = {
    # Labels of several tokens, one of which begins another.
    Kind.SINGLE: ("very", "positive", "very positive"),
    Kind.PAIR: LABELS[Kind.PAIR],
    Kind.MULTILABEL: LABELS[Kind.MULTILABEL],
}


KEY_VARIABLE = "SERVED_KEY"


def attached(served: tuple[Path, Mapping[str, str]], **settings: Any) -> VllmRunner:
    """Return a runner that attaches to the server."""
    folder, address = served
    return VllmRunner(
        str(folder),
        url=address["url"],
        served_as=address["model"],
        key_variable=KEY_VARIABLE,
        **settings,
    )


@pytest.fixture(scope="module")
def probed(
    served: tuple[Path, Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """The address of the server, after it was probed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, served[1]["api_key"])
        yield attached(served).service().start(tmp_path_factory.mktemp("attached"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("template", ["chat", "plain"])
@pytest.mark.parametrize("shots", [0, 4], ids=["zero-shot", "few-shot"])
@pytest.mark.parametrize("kind", WORDED)
def test_a_fit_behind_vllm_reads_what_a_fit_in_this_process_reads(
    served: tuple[Path, Mapping[str, str]],
    probed: Mapping[str, str],
    kind: Kind,
    shots: int,
    template: str,
) -> None:
    examples = tuple(an_example(kind, 100 + i) for i in range(12))
    given = TaskInput(
        make_task(kind, WORDED[kind]), tuple(train_of(kind)), (), {Split.TEST: examples}
    )
    request = FitRequest((given,), seed=3)
    settings: dict[str, Any] = {"mode": "score", "shots": shots, "template": template}
    settings |= {"dtype": "float32", "max_length": 1024}
    behind = attached(served, **settings).fit(replace(request, service=probed))
    here = HfLmRunner(str(served[0]), **settings).fit(request)
    found, wanted = behind.arrays[SCORES], here.arrays[SCORES]
    assert set(found) == set(wanted)
    sums = wanted["mood.test.sums"]
    assert sums.shape == (12 * (3 if kind is Kind.MULTILABEL else 1), 3 - (kind is not Kind.SINGLE))
    assert np.ptp(sums, axis=-1).max() > 100 * NATS, "labels differ by more than is allowed here"
    for name, read in wanted.items():
        np.testing.assert_allclose(found[name], read, atol=NATS, err_msg=name)
    one, other = (result.outputs["mood"][Split.TEST] for result in (behind, here))
    assert one.predicted.tolist() == other.predicted.tolist()
