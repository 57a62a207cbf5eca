"""The generator of the calibration suites and the truth that it plants."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from functools import cache
from itertools import combinations
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.canonical import digest
from groupbench.errors import SettingError
from groupbench.information import Prior, pointwise
from groupbench.predictions import Output, Predictions, gold_array
from groupbench.settings import configure, describe
from groupbench.task import Kind, Split, Task
from groupbench_tasks.calibration import truth
from groupbench_tasks.calibration.design import AGREE, CALIBRATION, SuiteDesign
from groupbench_tasks.calibration.grammar import DOMAINS, ORDINARY
from groupbench_tasks.calibration.suites import (
    Calibration,
    CalibrationAgree,
    CalibrationLoader,
    build_suite,
)
from groupbench_tasks.calibration.world import world_of
from groupbench_tasks.hooks import groupbench_register_suites, groupbench_register_tasks

SUITES = [CALIBRATION, AGREE]
TASKS = [(design, task.name) for design in SUITES for task in design.tasks]
TABLE = {  # calibration.md, section 1: bits planted to three places
    "f0_tag": 0.856, "f0_cue": 0.471, "f0_agent_h": 0.0,
    "f1_pair": 0.859, "f1_cue": 0.471, "f1_cue_h": 0.0,
    "f2_order": 0.859, "f2_multi": 0.471, "f2_multi_h": 0.0,
}  # fmt: skip


@cache
def built(design: SuiteDesign, name: str, world: int = 1) -> Task:
    return build_suite(design, world)[name]


@pytest.mark.parametrize("design", SUITES, ids=lambda d: d.name)
@pytest.mark.parametrize("world", range(6))
def test_attributes_are_orthogonal_in_every_block(design: SuiteDesign, world: int) -> None:
    lexicon = world_of(design, world).lexicon
    assert len(set(lexicon.words)) == sum(design.block_sizes)
    assert not set(lexicon.words) & ORDINARY
    for block in lexicon.blocks:
        combinations_held = {
            tuple(row): count
            for row, count in zip(
                *np.unique(lexicon.attributes[list(block)], axis=0, return_counts=True), strict=True
            )
        }
        assert len(combinations_held) == 8
        assert set(combinations_held.values()) == {len(block) // 8}


def test_surface_text_says_nothing_about_unseen_words() -> None:
    # a classifier of another kind than the one that chose the table: nearest neighbour by bigrams
    rates = []
    for world in range(8):
        lexicon = world_of(CALIBRATION, world).lexicon
        seen, asked = lexicon.blocks
        grams = [{w[i : i + 2] for i in range(len(w) - 1)} for w in lexicon.words]
        for word in asked:
            nearest = max(seen, key=lambda s: (len(grams[s] & grams[word]), -s))
            rates.append((lexicon.attributes[nearest] == lexicon.attributes[word]).mean())
    assert abs(np.mean(rates) - 0.5) < 0.05


@pytest.mark.parametrize(("design", "name"), TASKS, ids=lambda v: getattr(v, "name", v))
def test_splits_have_their_sizes_and_share_no_input(design: SuiteDesign, name: str) -> None:
    task = built(design, name)
    sizes = {split: len(task.examples(split)) for split in Split}
    assert sizes == {
        Split.TRAIN: design[name].n_train, Split.DEV_A: 200, Split.DEV_B: 500, Split.TEST: 500,
    }  # fmt: skip
    inputs = [e.input for split in Split for e in task.examples(split)]
    assert len(set(inputs)) == len(inputs)
    ids = [e.id for split in Split for e in task.examples(split)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("design", "name"), TASKS, ids=lambda v: getattr(v, "name", v))
@pytest.mark.parametrize("split", Split)
def test_noise_flips_exactly_its_share_of_each_class(
    design: SuiteDesign, name: str, split: Split
) -> None:
    drawn = world_of(design, 2).draw(name)[split]
    rule, noise = design[name].rule, design[name].noise
    pooled = rule.kind is Kind.TOKEN
    columns = [np.ravel] if pooled else [lambda v, i=i: v[:, i] for i in range(len(rule.asked))]
    for column in columns:
        true, noisy = column(drawn.true_values), column(drawn.noisy_values)
        for value in (0, 1):
            members = true == value
            assert members.sum() * 2 == len(true)
            assert (noisy[members] != value).sum() == round(noise * members.sum())
        assert noisy.sum() * 2 == len(noisy)


@pytest.mark.parametrize(("design", "name"), TASKS, ids=lambda v: getattr(v, "name", v))
def test_ids_and_order_say_nothing_about_labels(design: SuiteDesign, name: str) -> None:
    task = built(design, name)
    for split in (Split.DEV_B, Split.TEST):
        rows = task.examples(split)
        assert [e.id for e in rows] == [f"{split}-{i}" for i in range(len(rows))]
        gold, _ = gold_array(task.kind, len(task.labels), rows)
        if task.kind is Kind.TOKEN:
            gold = gold[gold > 0] - 1
        first = gold.reshape(-1)[: gold.size // 2].mean()
        assert abs(first - gold.mean()) < 0.1
        neighbours = np.corrcoef(
            gold.reshape(len(gold), -1)[:-1, 0], gold.reshape(len(gold), -1)[1:, 0]
        )
        assert abs(neighbours[0, 1]) < 0.2


@pytest.mark.parametrize("name", [task.name for task in CALIBRATION.tasks if task.hidden])
def test_hidden_tasks_ask_about_words_that_training_never_shows(name: str) -> None:
    words = set(world_of(CALIBRATION, 1).lexicon.words)
    task = built(CALIBRATION, name)

    def shown(split: Split) -> set[str]:
        return {w for e in task.examples(split) for w in e.text.split()} & words

    asked = shown(Split.TEST)
    assert asked == shown(Split.DEV_A) == shown(Split.DEV_B)
    assert len(asked) == 24
    assert len(shown(Split.TRAIN)) == 8
    assert not asked & shown(Split.TRAIN)


def test_each_task_that_agrees_lacks_another_third_of_the_words() -> None:
    world = world_of(AGREE, 1)
    words = set(world.lexicon.words)
    for family in range(3):
        lacked = []
        for design in (task for task in AGREE.tasks if task.family == family):
            task = built(AGREE, design.name)
            shown = {w for e in task.examples(Split.TRAIN) for w in e.text.split()}
            assert words <= {w for e in task.examples(Split.TEST) for w in e.text.split()}
            lacked.append(frozenset(words - shown))
        assert sorted(map(len, lacked)) == [8, 8, 8]
        assert frozenset().union(*lacked) == words


def test_no_two_calibration_tasks_share_two_of_three_factors() -> None:
    for a, b in combinations(CALIBRATION.tasks, 2):
        shared = (a.family == b.family) + (a.difficulty == b.difficulty) + (a.domain == b.domain)
        assert shared <= 1
    for key in ("family", "difficulty", "domain"):
        assert len({getattr(task, key) for task in CALIBRATION.tasks}) == 3


def test_difficulty_and_family_agree_in_calibration_agree() -> None:
    pairs = {(task.family, task.difficulty) for task in AGREE.tasks}
    assert len(pairs) == len({f for f, _ in pairs}) == len({d for _, d in pairs}) == 3


def test_domains_share_no_word() -> None:
    held = [{w for words in slots.values() for w in words} for slots in DOMAINS.values()]
    assert all(not a & b for a, b in combinations(held, 2))


def test_planted_bits_are_those_of_the_design_page() -> None:
    suite = Calibration().build()
    for name, bits in TABLE.items():
        planted = suite[name].planted
        assert planted is not None
        assert planted.v_information_bits == pytest.approx(bits, abs=5e-4)
    assert all(
        task.planted is not None and task.planted.v_information_bits is None
        for task in CalibrationAgree().build()
    )


def test_closed_forms_equal_what_counting_gives() -> None:
    assert truth.balanced_information(2, 0.0) == 1.0
    assert truth.balanced_information(2, 0.5) == pytest.approx(0.0)
    assert truth.balanced_information(3, 2 / 3) == pytest.approx(0.0)
    assert truth.balanced_information(4, 0.0) == 2.0
    assert truth.multilabel_information((0.5, 0.5), (0.0, 0.5)) == pytest.approx(0.5)
    assert truth.tagging_information(0.2, 2, 0.06) == pytest.approx(0.85644, abs=1e-5)


@given(
    prior=st.floats(0.01, 0.99),
    noise=st.floats(0.0, 0.5),
    share=st.floats(0.05, 0.95),
    n_tags=st.integers(2, 5),
)
def test_closed_forms_are_mutual_information(
    prior: float, noise: float, share: float, n_tags: int
) -> None:
    binary = np.array(
        [[(1 - prior) * (1 - noise), (1 - prior) * noise], [prior * noise, prior * (1 - noise)]]
    )
    assert truth.binary_information(prior, noise) == pytest.approx(
        mutual_information(binary), abs=1e-9
    )
    tags = np.zeros((n_tags + 1, n_tags + 1))
    tags[0, 0] = 1 - share
    tags[1:, 1:] = share / n_tags * noise / (n_tags - 1)
    np.fill_diagonal(tags[1:, 1:], share / n_tags * (1 - noise))
    assert truth.tagging_information(share, n_tags, noise) == pytest.approx(
        mutual_information(tags), abs=1e-9
    )


def mutual_information(joint: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    held = joint > 0
    return float((joint[held] * np.log2(joint[held] / outer[held])).sum())


@pytest.mark.parametrize(("design", "name"), TASKS, ids=lambda v: getattr(v, "name", v))
def test_the_true_posterior_reaches_the_planted_information(design: SuiteDesign, name: str) -> None:
    task = built(design, name)
    found = pointwise(predicted(task, design), prior_of(task))
    full = truth.full_information(design[name])
    realised = round(design[name].noise * 250) / 250  # of 500 balanced rows, per class
    assert found.v_information_bits == pytest.approx(full, abs=1e-4 if realised else 0.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), case=st.sampled_from(TASKS))
def test_what_a_model_lacks_is_its_divergence_from_the_true_posterior(
    seed: int, case: tuple[SuiteDesign, str]
) -> None:
    design, name = case
    task = built(design, name)
    true = predicted(task, design)
    rng = np.random.default_rng(seed)
    assert true.log_probs is not None
    if task.kind is Kind.MULTILABEL:
        model_log_probs = np.log(rng.uniform(0.02, 0.98, size=true.log_probs.shape))
    else:
        drawn = rng.dirichlet(np.full(len(task.labels), 2.0), size=len(true.log_probs))
        model_log_probs = np.log(np.maximum(drawn, 1e-6))
        model_log_probs -= np.logaddexp.reduce(model_log_probs, axis=1, keepdims=True)
    model = predicted(task, design, model_log_probs)
    shortfall = gold_log2(true) - gold_log2(model)
    information = pointwise(model, prior_of(task)).v_information_bits
    planted = pointwise(true, prior_of(task)).v_information_bits
    assert shortfall.mean() == pytest.approx(planted - information, abs=1e-5)
    assert shortfall.mean() > 0


def prior_of(task: Task) -> Prior:
    return Prior.of(task.kind, len(task.labels), task.examples(Split.TRAIN))


def predicted(task: Task, design: SuiteDesign, log_probs: np.ndarray | None = None) -> Predictions:
    if log_probs is None:
        log_probs = truth.true_log_posterior(world_of(design, 1), task.name, Split.DEV_B)
    if task.kind is Kind.MULTILABEL:
        labels = (log_probs > log2(0.5)).astype(int)
    else:
        labels = log_probs.argmax(axis=1)
    return Predictions.assemble(
        task, task.examples(Split.DEV_B), Output(predicted=labels, log_probs=log_probs)
    )


def gold_log2(predictions: Predictions) -> np.ndarray:
    """Return the log2 probability of each gold label or word."""
    assert predictions.log_probs is not None
    log_probs = predictions.log_probs.astype(float)
    if predictions.kind is Kind.MULTILABEL:
        absent = np.log1p(-np.exp(log_probs))
        return np.asarray(np.where(predictions.gold == 1, log_probs, absent) / np.log(2))
    chosen = np.take_along_axis(log_probs, predictions.gold[:, None], axis=1)[:, 0]
    return np.asarray(chosen / np.log(2))


def test_worlds_are_equal_in_every_process() -> None:
    code = (
        "from groupbench_tasks.calibration.suites import Calibration, CalibrationAgree\n"
        "print([t.fingerprint for s in (Calibration(3), CalibrationAgree(3)) for t in s.build()])"
    )
    here = [t.fingerprint for s in (Calibration(3), CalibrationAgree(3)) for t in s.build()]
    for hash_seed in ("0", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
        )
        assert done.stdout.strip() == str(here)


def test_worlds_differ_and_a_task_is_drawn_alike_without_the_others() -> None:
    first, second = (build_suite(CALIBRATION, world)["f0_cue"] for world in (1, 2))
    assert first.fingerprint != second.fingerprint
    assert CalibrationLoader("calibration", 1, "f0_cue")() == first.data


def test_loaders_travel_and_carry_no_truth() -> None:
    task = build_suite(CALIBRATION, 1)["f1_cue"]
    sent = pickle.dumps(task.loader)
    assert len(sent) < 500  # names, neither data nor attributes
    assert pickle.loads(sent)() == task.data  # noqa: S301 - made a moment ago
    loader = CalibrationLoader("calibration", 1, "f1_cue")
    assert pickle.loads(pickle.dumps(loader)) == loader  # noqa: S301
    assert loader() == task.data


def test_strategies_and_runners_cannot_see_the_truth() -> None:
    suite = Calibration().build()
    for task in suite.blinded():
        assert task.planted is None
        assert "planted" not in repr(task)
    for task in suite:
        assert task.with_data(task.data).planted is None
        assert {e.cluster for split in Split for e in task.examples(split)} == {None}


def test_listing_draws_nothing() -> None:
    code = (
        "import sys\n"
        "from groupbench_tasks.hooks import *\n"
        "offered = list(groupbench_register_tasks()); specs = list(groupbench_register_suites())\n"
        "folders = [each for each in offered if isinstance(each, Path)]\n"
        "print(len(offered) - len(folders), len(folders), len(specs), 'numpy' in sys.modules, "
        "'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.split() == ["18", "1", "2", "False", "False"]


def test_suites_take_a_world_and_say_what_they_plant() -> None:
    for spec in groupbench_register_suites():
        assert [setting.name for setting in describe(spec)] == ["world"]
        suite = configure(spec, {"world": 4}, where=f"suite {spec.name}").build()
        assert suite.name == spec.name
        assert "PVI" in suite.note
        assert "\n" not in suite.note
        with pytest.raises(SettingError, match="world = -1 must be 0 or more"):
            configure(spec, {"world": -1}, where=f"suite {spec.name}")


def test_every_task_has_a_name_of_its_own() -> None:
    offered = list(groupbench_register_tasks())
    names = [task.name for task in offered if isinstance(task, Task)]
    assert len(offered) == len(names) + 1  # the folder of cards
    assert len(set(names)) == len(names) == 18
    assert digest(names) == digest(list(names))
