"""Answers of an endpoint about several labels and entities, and what becomes of bad ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fault_server import FaultServer, written
from prompting import an_example, make_task, train_of

from groupbench.predictions import NO_ANSWER, Outcome, Predictions
from groupbench.runner import FitRequest, TaskInput
from groupbench.task import Example, Kind, Split, Task
from groupbench_openai.runner import OpenAIRunner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from groupbench.runner import FitResult

pytest.importorskip("openai")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path / "cache"))


def fitted(
    runner: OpenAIRunner, folder: Path, task: Task, examples: Sequence[Example]
) -> FitResult:
    given = TaskInput(task, tuple(train_of(task.kind)), (), {Split.TEST: tuple(examples)})
    address = runner.service().start(folder)
    return runner.fit(FitRequest((given,), seed=0, service=address))


def tally(result: FitResult) -> Any:
    prompts: Any = result.training["prompts"]
    return prompts["mood"]["splits"]["test"]


BAD = {
    "length": (Outcome.TRUNCATED, "length"),
    "refusal": (Outcome.REFUSED, "refusal"),
    "filtered prompt": (Outcome.REFUSED, "content_filter"),
    "null content": (Outcome.INVALID, "empty"),
}


def test_an_answer_without_entities_to_read_is_outside_everywhere_and_no_answer(
    tmp_path: Path,
) -> None:
    task = make_task(Kind.TOKEN)
    examples = [an_example(Kind.TOKEN, 100 + i) for i in range(len(BAD) + 1)]
    with FaultServer(faults=[*BAD, None], only="ache .10") as server:
        runner = OpenAIRunner("tiny-1", url=server.url, concurrency=1)
        result = fitted(runner, tmp_path, task, examples)
        bodies = [seen.body for seen in server.seen if "ache .10" in json.dumps(seen.body)]
    assert all(body["response_format"]["type"] == "json_schema" for body in bodies)
    output = result.outputs["mood"][Split.TEST]
    assert output.outcomes == (*(outcome for outcome, _ in BAD.values()), Outcome.OK)
    assert tally(result)["reasons"] == {
        example.id: reason for example, (_, reason) in zip(examples, BAD.values(), strict=False)
    }
    words = [len(example.input) for example in examples]
    read = output.predicted[sum(words[:-1]) :].tolist()
    assert output.predicted[: sum(words[:-1])].tolist() == [0] * sum(words[:-1])
    # The server names one word of the sentence, which the last answer holds.
    (entity,) = json.loads(written(bodies[-1]))["entities"]
    assert [examples[-1].input[i] for i, tag in enumerate(read) if tag] == [entity["text"]]
    assert task.labels[max(read)] == f"B-{entity['type']}"
    assert tally(result)["items_ok"] == 1


@pytest.mark.parametrize("salvage", [False, True])
def test_what_is_whole_in_a_cut_answer_is_kept_where_that_is_asked_for(
    tmp_path: Path, *, salvage: bool
) -> None:
    examples = [an_example(Kind.TOKEN, 100)]
    with FaultServer(faults=["length"], only="ache .100") as server:
        runner = OpenAIRunner("tiny-1", url=server.url, salvage=salvage)
        result = fitted(runner, tmp_path, make_task(Kind.TOKEN), examples)
    output = result.outputs["mood"][Split.TEST]
    assert output.outcomes == (Outcome.OK if salvage else Outcome.TRUNCATED,)
    assert bool(output.predicted.any()) is salvage
    assert tally(result).get("salvaged", 0) == int(salvage)


def test_labels_of_a_list_are_known_ones_and_an_answer_without_any_is_none(
    tmp_path: Path,
) -> None:
    task = make_task(Kind.MULTILABEL, ("positive", "negative", "joy"))
    examples = [replace(an_example(Kind.MULTILABEL, 100 + i, (0,)), id=f"t{i}") for i in range(24)]
    with FaultServer() as server:
        runner = OpenAIRunner("tiny-1", url=server.url, mode="text")
        result = fitted(runner, tmp_path, task, examples)
        said = {seen.body["messages"][-1]["content"]: written(seen.body) for seen in server.seen}
    made = Predictions.assemble(task, examples, result.outputs["mood"][Split.TEST])
    unknown = 0
    for i, example in enumerate(examples):
        (word,) = [word for text, word in said.items() if str(example.input) in text]
        if word in task.labels:
            assert made.outcomes[i] is Outcome.OK
            assert made.predicted[i].tolist() == [int(word == label) for label in task.labels]
        else:
            unknown += 1
            assert made.outcomes[i] is Outcome.INVALID
            assert made.predicted[i].tolist() == [NO_ANSWER] * 3
    assert 0 < unknown < len(examples)
    assert tally(result)["items_unknown"] == unknown


def test_every_label_is_decided_by_a_boolean_of_its_own(tmp_path: Path) -> None:
    task = make_task(Kind.MULTILABEL)
    examples = [an_example(Kind.MULTILABEL, 100 + i, (0,)) for i in range(8)]
    with FaultServer() as server:
        result = fitted(OpenAIRunner("tiny-1", url=server.url), tmp_path, task, examples)
        said = {
            seen.body["messages"][-1]["content"]: json.loads(written(seen.body))
            for seen in server.seen
            if "response_format" in seen.body and "Number 10" in json.dumps(seen.body)
        }
    made = result.outputs["mood"][Split.TEST].predicted
    for i, example in enumerate(examples):
        (told,) = [told for text, told in said.items() if str(example.input) in text]
        assert made[i].tolist() == [int(told[label]) for label in task.labels]
    assert 0 < made.sum() < made.size


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"model": "gpt-4o"}, 120),
        ({"model": "gpt-6-luna"}, 120),
        ({"model": "gpt-6-luna", "reasoning_effort": "low"}, 600),
    ],
)
def test_an_attempt_may_take_two_minutes_and_ten_where_a_model_thinks(
    tmp_path: Path, settings: dict[str, Any], seconds: int
) -> None:
    with FaultServer() as server:
        runner = OpenAIRunner(url=server.url, mode="text", **settings)
        runner = replace(runner, served_as="tiny-1")
        fitted(runner, tmp_path, make_task(), [an_example(Kind.SINGLE, 100)])
        (asked,) = [seen for seen in server.seen if "Number 100" in json.dumps(seen.body)]
    # The SDK tells the server how long it will wait.
    assert float(asked.headers["x-stainless-read-timeout"]) == seconds
