from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from groupbench.information import Pointwise, closed_form_null
from groupbench_pvi.pairs import Comparing, TaskSample, Verdict, compare
from groupbench_pvi.two_sample import (
    MeanDifference,
    anova,
    brunner_munzel,
    cliffs_delta,
    cohens_d,
    kruskal,
    ks,
    mann_whitney,
    student,
    tost,
    wasserstein,
    welch,
)

Array = np.typing.NDArray[Any]

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data-pvi"
needs_published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason=f"published PVI values are not at {PUBLISHED}"
)
PARTS = {
    "cola_id_dev": "bert-base-cased_cola_id_dev_std.csv",
    "cola_ood_dev": "bert-base-cased_cola_ood_dev_std.csv",
}

# Explaining a failure traces every line, which takes minutes inside scipy.
unhurried = settings(
    deadline=None, max_examples=50, phases=[p for p in Phase if p is not Phase.explain]
)
samples = st.lists(
    st.floats(-5, 5, allow_nan=False).map(lambda x: round(x, 2)), min_size=2, max_size=12
)


def published(part: str) -> dict[str, Array]:
    with (PUBLISHED / PARTS[part]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        name: np.array([float(r[name]) for r in rows]) for name in ("H_yb", "H_yx", "PVI", "label")
    }


def expected() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((PUBLISHED / "expected.json").read_text(encoding="utf-8"))
    return document


@needs_published
@pytest.mark.parametrize("part", PARTS)
def test_published_pvi_is_the_difference_of_surprisals(part: str) -> None:
    rows, wanted = published(part), expected()["files"][part]
    values = Pointwise(
        ("",) * len(rows["PVI"]), (None,) * len(rows["PVI"]), rows["H_yb"], rows["H_yx"]
    )
    assert (values.pvi == rows["PVI"]).all()
    assert values.v_information_bits == pytest.approx(wanted["mean_PVI"], abs=1e-9)
    assert values.v_entropy_bits == pytest.approx(wanted["mean_H_yb"], abs=1e-9)
    assert values.conditional_v_entropy_bits == pytest.approx(wanted["mean_H_yx"], abs=1e-9)
    assert values.pvi.std(ddof=1) == pytest.approx(wanted["sd_PVI_ddof1"], abs=1e-9)


@needs_published
@pytest.mark.parametrize(("part", "mean"), [("cola_id_dev", 0.308150), ("cola_ood_dev", 0.185827)])
def test_the_closed_form_null_stands_in_for_the_trained_one(part: str, mean: float) -> None:
    counts = json.loads((PUBLISHED / "cola_train_label_counts.json").read_text())["counts"]
    bits = -np.log2(closed_form_null(np.array([counts["0"], counts["1"]])))
    assert bits.round(6).tolist() == [1.758097, 0.505611]
    rows = published(part)
    assert rows["PVI"].mean().round(6) == mean
    closed = (bits[rows["label"].astype(int)] - rows["H_yx"]).mean()
    assert closed == pytest.approx(expected()["files"][part]["mean_PVI_closed_form_null"], abs=1e-6)


@needs_published
def test_two_sample_values_are_the_published_ones() -> None:
    a, b = published("cola_id_dev")["PVI"], published("cola_ood_dev")["PVI"]
    wanted = expected()["two_sample_id_minus_ood"]
    found = {
        "welch": {"t": welch(a, b).statistic, "df": welch(a, b).df, "p": welch(a, b).p},
        "student": {"t": student(a, b).statistic, "p": student(a, b).p},
        "mann_whitney": {
            "U_first": mann_whitney(a, b).statistic,
            "p_two_sided_default_method": mann_whitney(a, b).p,
            "auc": (cliffs_delta(a, b) + 1) / 2,
            "cliffs_delta": cliffs_delta(a, b),
        },
        "ks": {"D": ks(a, b).statistic, "p": ks(a, b).p},
        "kruskal": {"H": kruskal(a, b).statistic, "p": kruskal(a, b).p},
        "brunner_munzel_p": brunner_munzel(a, b).p,
        "wasserstein_1": wasserstein(a, b),
        "mean_difference": MeanDifference.of(a, b).difference,
        "welch_se": MeanDifference.of(a, b).std_error,
        "tost_p_by_margin_bits": {
            margin: tost(a, b, float(margin)).p for margin in wanted["tost_p_by_margin_bits"]
        },
        "cohen_d_pooled": cohens_d(a, b),
    }
    del wanted["scipy"]
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


@needs_published
@pytest.mark.parametrize(
    ("test", "margin", "joined"),
    [
        ("welch", 0.25, True),
        ("ks", 0.25, True),
        ("tost", 0.25, True),
        ("tost", 0.2, False),
        ("mwu", 0.25, False),
        ("brunner_munzel", 0.25, False),
        ("effect", 0.25, True),
    ],
)
def test_whether_the_published_parts_differ_depends_on_the_test(
    test: str, margin: float, *, joined: bool
) -> None:
    tasks = [
        TaskSample(part, published(part)["PVI"], published(part)["PVI"][None]) for part in PARTS
    ]
    how = Comparing(test, 0.05, margin, "cliff", "none")
    (pair,) = compare(tasks, how).pairs
    assert pair.accepted is joined
    assert pair.verdict is (Verdict.SIMILAR if margin == 0.25 else Verdict.UNDECIDED)
    assert pair.detectable == pytest.approx(2.8 * 0.0763088, abs=1e-3)


@unhurried
@given(a=samples, b=samples, margin=st.floats(0.01, 3))
def test_tests_are_probabilities_and_do_not_care_which_sample_is_first(
    a: list[float], b: list[float], margin: float
) -> None:
    x, y = np.array(a), np.array(b)
    for test in (welch, student, mann_whitney, brunner_munzel, ks, kruskal, anova):
        p = test(x, y).p
        assert 0 <= p <= 1, test
        assert test(y, x).p == pytest.approx(p, abs=1e-9), test
    assert tost(x, y, margin).p == pytest.approx(tost(y, x, margin).p, abs=1e-9)
    assert cliffs_delta(x, y) == -cliffs_delta(y, x)
    assert wasserstein(x, y) == pytest.approx(wasserstein(y, x))


@unhurried
@given(a=samples, b=samples)
def test_cliffs_delta_counts_pairs(a: list[float], b: list[float]) -> None:
    wins = sum((x > y) - (x < y) for x in a for y in b)
    assert cliffs_delta(np.array(a), np.array(b)) == pytest.approx(wins / (len(a) * len(b)))


@unhurried
@given(a=samples, b=samples, margin=st.floats(0.01, 3))
def test_tost_rejects_exactly_where_the_90_percent_interval_lies_inside_the_margin(
    a: list[float], b: list[float], margin: float
) -> None:
    means = MeanDifference.of(np.array(a), np.array(b))
    low, high = means.interval(0.9)
    p = tost(np.array(a), np.array(b), margin).p
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (-margin < low and high < margin)


def test_samples_without_spread_have_the_answer_of_their_limit() -> None:
    ones, twos = np.ones(5), np.full(5, 2.0)
    assert welch(ones, ones).p == 1.0
    assert welch(ones, twos).p == 0.0
    assert tost(ones, ones, 0.25).p == 0.0
    assert tost(ones, twos, 0.25).p == 1.0
    assert mann_whitney(ones, ones).p == brunner_munzel(ones, ones).p == kruskal(ones, ones).p == 1
    assert brunner_munzel(ones, twos).p == 0.0
    assert anova(ones, ones).p == 1.0
    assert anova(ones, twos).p == 0.0
    assert cohens_d(ones, ones) == 0.0


def test_one_value_shows_nothing() -> None:
    means = MeanDifference.of(np.array([1.0]), np.array([1.0, 2.0]))
    assert welch(np.array([1.0]), np.array([1.0, 2.0])).p == 1.0
    assert tost(np.array([1.0]), np.array([1.0, 2.0]), 0.25).p == 0.5
    assert means.power(0.25, 0.05) == pytest.approx(0.05)


def test_power_is_how_often_welch_sees_the_difference() -> None:
    rng = np.random.default_rng(0)
    n, margin, sd = 60, 0.5, 1.2
    seen, promised = 0, []
    for _ in range(400):
        a, b = rng.normal(0, sd, n), rng.normal(margin, sd, n)
        seen += welch(a, b).p <= 0.05
        promised.append(MeanDifference.of(a, b).power(margin, 0.05))
    assert seen / 400 == pytest.approx(np.mean(promised), abs=0.06)
