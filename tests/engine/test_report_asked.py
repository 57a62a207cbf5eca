"""What a leaderboard says of models that were asked: what it cost, and what came back."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from groupbench.calls import Calls
from groupbench.canonical import to_json
from groupbench.cell import Entry, Status
from groupbench.leaderboard.entry_json import entry_json, entry_of
from groupbench.llm.latency import Latencies
from groupbench.predictions import NO_ANSWER, Outcome, Output, Predictions
from groupbench.runner import Costs
from groupbench.task import Split, Task
from groupbench.testing.leaderboards import Desk, make_task

if TYPE_CHECKING:
    from groupbench.leaderboard import Leaderboard

ONE = Calls(
    n_examples=10,
    seconds=2.0,
    requests=10,
    replayed=0,
    retries=1,
    tokens_in=1000,
    tokens_cached=200,
    tokens_out=50,
    tokens_reasoning=0,
    usd=0.25,
    usd_unknown=0.0,
    usd_replayed=0.0,
    waits={"0": 9, "70": 1},
)


def answers(task: Task, outcomes: list[Outcome], n_right: int) -> Predictions:
    """Return predictions of which the first ``n_right`` that were answered are right."""
    examples = task.examples(Split.TEST)
    ok = [outcome is Outcome.OK for outcome in outcomes]
    rank = np.cumsum(ok)
    predicted = [
        (NO_ANSWER if not ok[i] else e.gold if rank[i] <= n_right else 1 - e.gold)  # type: ignore[operator] # labels are numbers here
        for i, e in enumerate(examples)
    ]
    cut = tuple(i < 3 for i in range(len(examples)))
    return Predictions.assemble(
        task,
        examples,
        Output(np.array(predicted), outcomes=tuple(outcomes), input_cut=cut),
    )


def board_of(desk: Desk, *cells: Any) -> Leaderboard:
    made = desk.entry(None, runner="llm", seeds=[0])
    return desk.board([Entry(made.key, None, "llm", Status.OK, cells)])


def shown(board: Leaderboard, width: int) -> str:
    console = Console(width=width, color_system=None, file=StringIO())
    console.print(board)
    return str(console.file.getvalue())  # type: ignore[attr-defined] # a StringIO


def test_the_score_and_that_of_the_answered_differ_by_what_was_not_answered() -> None:
    task, other = make_task("one", n_test=20), make_task("two", n_test=60)
    ends = [Outcome.REFUSED] * 2 + [Outcome.TRUNCATED] * 1 + [Outcome.INVALID] * 1
    told = {
        "one": answers(task, [*ends, *[Outcome.OK] * 16], n_right=12),
        "two": answers(other, [Outcome.OK] * 60, n_right=30),
    }
    desk = Desk(tasks=(task, other))
    cell = desk.cell(told, grouping=None, runner="llm")
    board = board_of(desk, cell)
    (entry,) = board.to_json()["entries"]
    one = entry["scores"]["one"]
    assert (one["mean"], one["score_answered"]) == (12 / 20, 12 / 16)
    assert one["outcome_rates"] == {"ok": 0.8, "invalid": 0.05, "refused": 0.1, "truncated": 0.05}
    two = entry["scores"]["two"]
    assert two["mean"] == two["score_answered"] == 0.5
    # Of the entry: rates over all 80 examples, scores over the two tasks.
    assert entry["outcome_rates"] == {
        "ok": 0.95,
        "invalid": 0.0125,
        "refused": 0.025,
        "truncated": 0.0125,
    }
    assert (entry["average"], entry["average_answered"]) == (0.55, 0.625)
    assert entry["input_cut"] == 6 / 80
    text = shown(board, 80)
    assert "llm       .550      .625    1.2 %    2.5 %      1.2 %      7.5 %" in text
    assert "one: invalid 5.0 %, refused 10.0 %, truncated 5.0 %, .750 of the" in text


def test_a_task_without_any_answer_leaves_the_average_of_the_answered_open() -> None:
    desk = Desk(tasks=(make_task("one", n_test=4),))
    told = {"one": answers(desk.tasks[0], [Outcome.REFUSED] * 4, n_right=0)}
    board = board_of(desk, desk.cell(told, grouping=None, runner="llm"))
    (entry,) = board.to_json()["entries"]
    assert (entry["average"], entry["average_answered"]) == (0.0, None)
    assert entry["scores"]["one"]["score_answered"] is None


def test_costs_of_all_cells_are_summed_and_percentiles_are_of_all_answers() -> None:
    desk = Desk(tasks=(make_task("one", n_test=4),))
    slow = Latencies()
    for _ in range(30):
        slow.add(4.0)
    cells = [
        replace(desk.cell(0.5, seed=0, grouping=None, runner="llm"), calls=ONE),
        replace(
            desk.cell(0.5, seed=1, grouping=None, runner="llm"),
            calls=replace(ONE, waits=slow.bins(), usd=0.75),
        ),
    ]
    board = board_of(desk, *cells)
    document = board.to_json()
    (entry,) = document["entries"]
    calls = entry["calls"]
    counts = ("examples", "requests", "retries", "tokens_in", "tokens_cached", "tokens_out")
    assert [calls[name] for name in counts] == [20, 20, 2, 2000, 400, 100]
    assert (calls["usd"], calls["usd_per_1000_examples"]) == (1.0, 50.0)
    assert calls["examples_per_second"] == 5.0
    # 30 answers of 4 s, 9 of 1 s and 1 of 1.02 ** 70 s.
    assert calls["latency_ms"]["p50"] == pytest.approx(4000, rel=0.011)
    assert entry["latency_ms"] == calls["latency_ms"]
    assert [cell["calls"]["usd"] for cell in document["cells"]] == [0.25, 0.75]
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize("width", [80, 140])
def test_what_is_not_known_is_null_and_a_dash_never_0(width: int) -> None:
    desk = Desk(tasks=(make_task("one", n_test=4),))
    known = Calls(n_examples=4, seconds=2.0, tokens_in=40, tokens_out=8)
    cell = replace(desk.cell(0.5, grouping=None, runner="llm"), calls=known)
    plain = desk.entry("single", 0.5, seeds=[0])
    made = desk.entry(None, runner="llm", seeds=[0])
    board = desk.board([plain, Entry(made.key, None, "llm", Status.OK, (cell,))])
    entries = {entry["runner"]: entry for entry in board.to_json()["entries"]}
    assert entries["encoder"]["calls"] is None
    calls = entries["llm"]["calls"]
    unknown = ("requests", "retries", "tokens_cached", "tokens_reasoning", "usd", "usd_unknown")
    assert [calls[name] for name in unknown] == [None] * 6
    assert calls["usd_per_1000_examples"] is None
    assert calls["latency_ms"] == {"p50": None, "p95": None}
    text = shown(board, width)
    assert "entry  tokens in  out  ex/s\n" in text.replace(" \n", "\n")
    assert "llm           40    8     2" in text
    assert "tokens in" not in shown(desk.board([plain]), width)


def test_tokens_that_one_server_did_not_count_are_not_known_in_the_sum() -> None:
    assert (ONE + replace(ONE, tokens_in=None)).tokens_in is None
    assert (ONE + replace(ONE, usd=None)).usd is None


def test_replays_cost_nothing_now_and_count_in_the_price_of_a_thousand() -> None:
    replayed = replace(ONE, usd=0.05, usd_replayed=0.20, replayed=8)
    assert replayed.usd_per_1000_examples == ONE.usd_per_1000_examples == 25.0
    assert replayed.examples_per_second is None


def test_costs_survive_the_store_and_records_of_older_versions_are_read() -> None:
    costs = Costs(n_predicted=10, usd=0.25, calls=ONE)
    written: Any = json.loads(json.dumps(to_json(costs)))
    assert Costs.from_json(written) == costs
    del written["calls"]
    assert Costs.from_json(written) == replace(costs, calls=None)
    assert Costs.from_json({**written, "joules": 3}) == replace(costs, calls=None)

    desk = Desk(tasks=(make_task("one", n_test=4),))
    cell = replace(desk.cell(0.5, grouping=None, runner="llm"), calls=ONE)
    entry = Entry("k", None, "llm", Status.OK, (cell,))
    document: Any = json.loads(json.dumps(entry_json(desk.facts, entry)))
    assert entry_of(document, {}).cells[0].calls == ONE
    del document["cells"][0]["calls"]
    assert entry_of(document, {}).cells[0].calls is None
