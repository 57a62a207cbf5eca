from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.cell import Spent, Status
from groupbench.leaderboard import Leaderboard
from groupbench.leaderboard.facts import SuiteFacts
from groupbench.metrics import take
from groupbench.predictions import Outcome, Predictions
from groupbench.task import Kind
from groupbench.testing.leaderboards import Desk, ShareRight, answer, make_task

if TYPE_CHECKING:
    import random

OUTCOMES = {Outcome.INVALID: 10, Outcome.REFUSED: 5}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def small_desk() -> Desk:
    return Desk(tasks=(make_task("acceptable", n_test=40), make_task("entails", n_test=60)))


def test_scores_are_those_of_the_metric_in_all_four_kinds(desk: Desk) -> None:
    entry = desk.entry("single")
    row = desk.board([entry]).rows[0]
    for task in desk.tasks:
        expected = [ShareRight().score(cell.predictions[task.name], task) for cell in entry.cells]
        score = row.scores[task.name]
        assert score.per_seed == pytest.approx(expected)
        assert score.mean == pytest.approx(sum(expected) / 3)
        assert score.ci[0] < score.mean < score.ci[1]
        assert score.n_test == 100
    assert row.average == pytest.approx(sum(s.mean for s in row.scores.values()) / 4)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_entries_cells_and_examples_changes_nothing(shuffle: random.Random) -> None:
    desk = small_desk()
    entries = [
        desk.entry("single", 0.7),
        desk.entry("all", 0.8),
        desk.entry("random", 0.7, draws=2),
        desk.entry(None, 0.6, runner="tfidf", seeds=[0]),
        desk.ended("tag", Status.FAILED, "it ran out of memory"),
    ]
    before = desk.board(entries).to_json()
    mixed = []
    for entry in entries:
        cells = []
        for cell in entry.cells:
            rows = list(range(40))
            shuffle.shuffle(rows)
            other = take(cell.predictions["acceptable"], rows)
            cells.append(replace(cell, predictions={**cell.predictions, "acceptable": other}))
        mixed.append(replace(entry, cells=tuple(cells)))
    shuffle.shuffle(mixed)
    assert json.dumps(desk.board(mixed).to_json()) == json.dumps(before)


def test_the_order_of_cells_changes_only_the_order_of_cells(desk: Desk) -> None:
    entry = desk.entry("random", draws=3)
    backwards = replace(entry, cells=entry.cells[::-1])
    before, after = desk.board([entry]).to_json(), desk.board([backwards]).to_json()
    assert before["entries"] == after["entries"]
    assert before["cells"] == after["cells"][::-1]


def test_an_entry_that_is_given_twice_is_one_row(desk: Desk) -> None:
    entry = desk.entry("single")
    assert len(desk.board([entry, entry]).rows) == 1


def test_the_document_has_what_scripts_rely_on(desk: Desk) -> None:
    document = desk.board([desk.entry("single"), desk.entry("all", 0.9)]).to_json()
    assert document["schema"] == "groupbench/leaderboard/1"
    assert document["suite"] == "example"
    assert document["tasks"] == ["acceptable", "entails", "topics", "diseases"]
    first = document["entries"][0]
    assert (first["grouping"], first["rank"], first["tier"], first["status"]) == ("all", 1, 1, "ok")
    assert first["seeds"] == [0, 1, 2]
    assert first["draws"] == 1
    assert set(first["scores"]["entails"]) >= {
        *("metric", "mean", "std", "per_seed", "n_test", "ci", "outcome_rates", "score_answered")
    }
    assert set(first["negative_transfer"]) == {"any", "significant", "material"}
    assert first["n_models"] == 4
    assert first["n_parameters"] == 22_000_000
    assert first["training"] == {"fits": 12, "seconds": 37.5, "example_steps": 9000, "usd": 0}
    assert first["latency_ms"] is None
    assert len(document["cells"]) == 6
    json.dumps(document, allow_nan=False)


def test_entries_without_scores_come_last_with_their_reason(desk: Desk) -> None:
    board = desk.board(
        [
            desk.ended(None, Status.REFUSED, "the data may not leave", runner="openai"),
            desk.ended(None, Status.SKIPPED, "vllm is not installed", runner="vllm"),
            desk.ended("tag", Status.FAILED, "it ran out of memory"),
            desk.entry("single"),
        ]
    )
    shown = [(r.status, r.reason, r.rank, r.tier, r.average) for r in board.rows[1:]]
    assert shown == [
        ("failed", "it ran out of memory", None, None, None),
        ("skipped", "vllm is not installed", None, None, None),
        ("refused", "the data may not leave", None, None, None),
    ]
    assert board.rows[0].rank == 1


def test_an_entry_that_lacks_seeds_has_scores_and_no_rank(desk: Desk) -> None:
    whole = desk.entry("all", 0.9)
    lost = replace(whole.cells[1], status=Status.FAILED, reason="killed", predictions={}, fits={})
    cells = (whole.cells[0], lost, whole.cells[2])
    partial = replace(whole, status=Status.PARTIAL, cells=cells, reason="killed")
    row = desk.board([desk.entry("single", 0.6), partial]).rows[1]
    assert (row.status, row.rank, row.tier) == (Status.PARTIAL, None, None)
    assert row.average is not None
    per_seed = row.scores["entails"].per_seed
    assert per_seed[1] is None
    assert row.scores["entails"].mean == pytest.approx((per_seed[0] + per_seed[2]) / 2)  # type: ignore[operator] # only the second is missing
    assert row.gain is not None


def test_a_board_on_which_all_failed_has_no_ranks(desk: Desk) -> None:
    board = desk.board(
        [desk.ended("tag", Status.FAILED, "no"), desk.ended("hoa", Status.FAILED, "")]
    )
    assert [row.rank for row in board.rows] == [None, None]
    assert board.resolution is None
    json.dumps(board.to_json(), allow_nan=False)


def test_a_board_may_be_empty(desk: Desk) -> None:
    assert desk.board([]).to_json()["entries"] == []


def test_one_seed_has_no_spread(desk: Desk) -> None:
    row = desk.board([desk.entry("single", seeds=[7])]).rows[0]
    assert row.seeds == (7,)
    assert row.average_std is None
    assert row.scores["entails"].std is None
    assert row.average_ci is not None


def test_all_draws_of_a_random_grouping_are_one_entry(desk: Desk) -> None:
    row = desk.board([desk.entry("random", draws=5)]).rows[0]
    assert (row.draws, len(row.cells), row.n_models) == (5, 15, 4)
    assert len(row.scores["entails"].per_seed) == 3
    # Costs are those of one draw, so that they can be compared.
    assert row.training == Spent(fits=12, seconds=37.5, example_steps=9000)


def test_an_oracle_is_shown_and_not_ranked(desk: Desk) -> None:
    board = desk.board([desk.entry("by-family", 0.95, oracle=True), desk.entry("single", 0.7)])
    oracle, single = board.rows
    assert (oracle.entry.grouping, oracle.rank, oracle.tier) == ("by-family", None, None)
    assert (single.rank, single.tier) == (1, 1)
    assert oracle.gain is not None
    assert oracle.gain.points > 0


def test_gains_are_against_the_baseline_of_the_same_runner(desk: Desk) -> None:
    board = desk.board(
        [
            desk.entry("single", 0.6),
            desk.entry("all", 0.9),
            desk.entry("single", 0.9, runner="lora"),
            desk.entry("all", 0.6, runner="lora"),
            desk.entry(None, 0.5, runner="tfidf", seeds=[0]),
        ]
    )
    gains = {(r.entry.grouping, r.entry.runner): r.gain for r in board.rows}
    up, down = gains["all", "encoder"], gains["all", "lora"]
    assert up is not None
    assert down is not None
    assert 20 < up.points < 40
    assert up.relative == pytest.approx(up.points / 0.6, rel=0.2)
    assert up.negative_transfer == {"any": 0, "significant": 0, "material": 0}
    assert down.negative_transfer == {"any": 1, "significant": 1, "material": 1}
    assert gains[None, "tfidf"] is None
    base = gains["single", "encoder"]
    assert base is not None
    assert (base.points, base.points_ci) == (0, (0, 0))


def test_a_gain_over_nothing_is_not_relative(desk: Desk) -> None:
    share = {task.name: 0.8 for task in desk.tasks}
    entries = [desk.entry("single", share | {"entails": 0.0}), desk.entry("all", share)]
    gain = desk.board(entries).rows[0].gain
    assert gain is not None
    assert gain.relative is None
    assert gain.points > 0


def test_fits_that_two_groupings_share_do_not_differ(desk: Desk) -> None:
    single = desk.entry("single")
    pvi = replace(single, key="b" * 40, grouping="pvi")
    board = desk.board([single, pvi])
    assert [(r.rank, r.tier) for r in board.rows] == [(1, 1), (1, 1)]
    assert board.rows[0].gain is not None
    assert board.rows[0].gain.points_ci == (0, 0)


def test_answers_that_could_not_be_read_count_as_wrong_and_are_shown(desk: Desk) -> None:
    told = {t.name: answer(t, 1.0, seed=0, outcomes=OUTCOMES) for t in desk.tasks}
    entry = replace(desk.entry(None, runner="llm"), cells=(desk.cell(told, grouping=None),))
    for score in desk.board([entry]).rows[0].scores.values():
        assert score.outcome_rates == {"ok": 0.85, "invalid": 0.1, "refused": 0.05, "truncated": 0}
        assert score.score_answered == 1
        assert score.mean == pytest.approx(0.85)


def test_a_cell_on_which_the_server_failed_is_never_a_score(desk: Desk) -> None:
    told = {t.name: answer(t, 1.0, seed=0, outcomes={Outcome.INFRA: 2}) for t in desk.tasks}
    entry = replace(desk.entry(None, runner="llm"), cells=(desk.cell(told, grouping=None),))
    row = desk.board([entry]).rows[0]
    assert row.status is Status.FAILED
    assert "server failed on 2 of 100 examples of acceptable" in str(row.reason)
    assert row.average is None


def test_entries_judged_on_other_examples_fail_with_the_reason(desk: Desk) -> None:
    other = Desk(tasks=(make_task("acceptable", n_test=90), *desk.tasks[1:]))
    mine, theirs = desk.entry("single"), other.entry("all")
    board = desk.board([mine, theirs])
    assert [row.status for row in board.rows] == [Status.OK, Status.FAILED]
    assert "judged on 90 other test examples of acceptable than the 100" in str(
        board.rows[1].reason
    )


def test_a_cell_without_predictions_for_a_task_fails(desk: Desk) -> None:
    whole = desk.entry("single", seeds=[0])
    cell = whole.cells[0]
    some = {name: p for name, p in cell.predictions.items() if name != "entails"}
    row = desk.board([replace(whole, cells=(replace(cell, predictions=some),))]).rows[0]
    assert (row.status, row.reason) == (Status.FAILED, "it has no predictions for entails")


def test_intervals_of_clusters_are_wider() -> None:
    single = Desk(tasks=(make_task("notes", n_test=200),))
    clustered = Desk(tasks=(make_task("notes", n_test=200, cluster_size=20),))
    told = answer(single.tasks[0], 1.0, seed=0)
    told.predicted[:60] = 1 - told.predicted[:60]  # three documents all wrong

    def width(desk: Desk) -> float:
        mine = answer(desk.tasks[0], 1.0, seed=0)
        mine.predicted[:] = told.predicted
        entry = replace(desk.entry("single"), cells=(desk.cell({"notes": mine}),))
        low, high = desk.board([entry]).rows[0].scores["notes"].ci
        return high - low

    assert width(clustered) > 2 * width(single)


class Opaque:
    """A metric that does not say it is a sum over examples."""

    name: ClassVar[str] = "opaque"
    summary: ClassVar[str] = "the share of right answers, by a function of all predictions"
    citation: ClassVar[str] = ""
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)

    def score(self, predictions: Predictions, task: object) -> float:
        del task
        return float((predictions.predicted == predictions.gold).mean())


def test_metrics_that_are_no_sums_have_intervals_too() -> None:
    desk = small_desk()
    entries = [desk.entry("single", 0.7), desk.entry("all", 0.9)]
    metrics = {task.name: Opaque() for task in desk.tasks}
    board = Leaderboard.of(desk.facts, entries, metrics=metrics)
    for mine, other in zip(board.rows, desk.board(entries).rows, strict=True):
        assert mine.average == pytest.approx(other.average)
        assert mine.average_ci == pytest.approx(other.average_ci, abs=0.02)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from([0.5, 0.6, 0.8, 0.95]), min_size=1, max_size=6))
def test_the_best_is_first_in_tier_1_and_ranks_follow_averages(shares: list[float]) -> None:
    desk = small_desk()
    board = desk.board([desk.entry(f"g{i}", share) for i, share in enumerate(shares)])
    assert (board.rows[0].rank, board.rows[0].tier) == (1, 1)
    for better, worse in pairwise(board.rows):
        assert better.average is not None
        assert worse.average is not None
        assert better.average >= worse.average
        assert better.rank is not None
        assert worse.rank is not None
        assert better.rank <= worse.rank


def test_what_is_clearly_worse_is_in_a_lower_tier(desk: Desk) -> None:
    board = desk.board([desk.entry("a", 0.9), desk.entry("b", 0.9), desk.entry("c", 0.5)])
    assert [row.tier for row in board.rows] == [1, 1, 2]
    assert board.resolution is not None
    assert 0.01 < board.resolution < 0.2


def test_facts_survive_json(desk: Desk) -> None:
    assert SuiteFacts.from_json(json.loads(json.dumps(desk.facts.to_json()))) == desk.facts
