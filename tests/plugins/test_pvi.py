from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from pvi_bench import Bench, noisy_task

from groupbench.errors import DataError, IncompatibleError, SettingError
from groupbench.grouping import Group, Grouping
from groupbench.search import adjusted_rand_index
from groupbench.settings import configure, describe
from groupbench.suite import Suite
from groupbench.task import Kind, Split, Task
from groupbench.variants import Blank, Fold
from groupbench_pvi.strategy import Pvi, PviPaper

NOISES = {"clear": 0.01, "noisy": 0.11, "hidden": 0.5}
KINDS = {"s": Kind.SINGLE, "p": Kind.PAIR, "m": Kind.MULTILABEL}


def three_classes(n: int = 500) -> tuple[Suite, dict[str, float]]:
    """Return nine tasks: three difficulties, each once a kind and once a domain."""
    tasks = [
        noisy_task(f"{level}-{letter}", noise=noise, kind=kind, n=n, domain=letter)
        for level, noise in NOISES.items()
        for letter, kind in KINDS.items()
    ]
    return Suite("three", tuple(tasks)), {t.name: NOISES[t.name.split("-")[0]] for t in tasks}


def bench_of(*tasks: Task, noise: dict[str, float], **changes: object) -> Bench:
    return replace(Bench(Suite("few", tasks), noise), **changes)  # type: ignore[arg-type] # fields


def proposed(bench: Bench, strategy: Pvi | PviPaper | None = None) -> Grouping:
    grouping = (strategy or Pvi()).propose(bench.suite, bench)
    grouping.check(bench.suite)
    json.dumps(grouping.evidence, allow_nan=False)
    return grouping


def blocks(grouping: Grouping) -> list[tuple[str, ...]]:
    return [group.serves for group in grouping]


def test_tasks_of_one_difficulty_are_grouped_whatever_their_kind_and_domain() -> None:
    suite, noise = three_classes()
    grouping = proposed(Bench(suite, noise, jitter=0.2))
    planted = [[f"{level}-{letter}" for letter in KINDS] for level in NOISES]
    assert adjusted_rand_index(blocks(grouping), planted) == 1.0
    assert grouping.evidence["verdicts"] == {"similar": 9, "different": 27, "undecided": 0}
    assert grouping.evidence["stability"]["mean_ari"] == 1.0
    assert grouping.evidence["composition"]["joined_pairs_within_domain"] == 0
    assert any("9 of 9 joined pairs cross domains" in warning for warning in grouping.warnings)


def test_measured_bits_are_the_planted_ones() -> None:
    suite, noise = three_classes()
    rows = proposed(Bench(suite, noise)).evidence["tasks"]
    for row in rows:
        e = noise[row["task"]]
        planted = 1 + e * np.log2(e) + (1 - e) * np.log2(1 - e)
        assert row["mean"] == pytest.approx(planted, abs=0.02), row["task"]
        assert row["n"] == 500


def test_the_order_of_the_suite_changes_nothing() -> None:
    suite, noise = three_classes(n=60)
    turned = replace(suite, tasks=suite.tasks[::-1])
    for strategy in (Pvi(equal_sizes=20), Pvi(bootstrap=50), Pvi(rule="maximal_cliques")):
        one, other = (proposed(Bench(s, noise, jitter=0.3), strategy) for s in (suite, turned))
        assert one.groups == other.groups
        assert one.evidence["pairs"] == other.evidence["pairs"]
        assert one.warnings == other.warnings


def test_small_data_are_undecided_and_not_mistaken_for_likeness() -> None:
    tasks = [noisy_task(name, noise=noise, n=20) for name, noise in (("a", 0.1), ("b", 0.25))]
    bench = bench_of(*tasks, noise={"a": 0.1, "b": 0.25})
    cautious, naive = proposed(bench), proposed(bench, PviPaper())
    assert blocks(cautious) == [("a",), ("b",)]
    assert blocks(naive) == [("a", "b")]
    (pair,) = cautious.evidence["pairs"]
    assert pair["verdict"] == "undecided"
    assert pair["power"] < 0.8
    assert pair["detectable"] > 0.25
    assert any("1 of 1 pairs are undecided" in warning for warning in cautious.warnings)
    assert any("cross_fit=5" in warning for warning in cautious.warnings)
    assert any("not evidence" in warning for warning in naive.warnings)


def test_likeness_shown_in_spite_of_a_small_difference_is_similar() -> None:
    tasks = [noisy_task(name, noise=noise, n=20_000) for name, noise in (("a", 0.1), ("b", 0.11))]
    bench = bench_of(*tasks, noise={"a": 0.1, "b": 0.11})
    (pair,) = proposed(bench).evidence["pairs"]
    assert pair["p_welch"] < 0.05
    assert pair["verdict"] == "similar"
    assert blocks(proposed(bench, Pvi(test="welch"))) == [("a",), ("b",)]


@pytest.mark.parametrize(
    "strategy",
    [
        Pvi(test="welch"),
        Pvi(test="mwu"),
        Pvi(test="brunner_munzel"),
        Pvi(test="ks", correction="bonferroni"),
        Pvi(test="welch", gate="anova"),
        Pvi(test="mwu", gate="kruskal", correction="bh"),
        Pvi(test="effect", effect="cohen"),
        Pvi(test="effect", effect="wasserstein", margin=0.3),
        Pvi(test="welch", bootstrap=200),
        Pvi(bootstrap=200),
        Pvi(equal_sizes=20),
        Pvi(rule="components"),
        Pvi(rule="complete_linkage"),
        Pvi(rule="maximal_cliques"),
        Pvi(null="trained"),
        Pvi(cross_fit=3),
        Pvi(cross_fit=2, null="trained"),
        Pvi(normalise=True),
        Pvi(calibrate=False),
        PviPaper(null="trained"),
    ],
    ids=str,
)
def test_every_setting_separates_solved_from_hopeless_and_asks_for_what_it_planned(
    strategy: Pvi | PviPaper,
) -> None:
    noise = {"a": 0.02, "b": 0.02, "c": 0.5, "d": 0.5}
    tasks = [noisy_task(name, noise=value, n=300) for name, value in noise.items()]
    bench = bench_of(*tasks, noise=noise)
    grouping = proposed(bench, strategy)
    joined = {frozenset(block) for block in blocks(grouping)}
    # A task's own difficulty can be split by chance, never joined to the other one.
    assert all(block <= {"a", "b"} or block <= {"c", "d"} for block in joined)
    if not isinstance(strategy, Pvi) or strategy.test != "ks":
        assert frozenset({"a", "b"}) in joined
    planned = [(part.groups, part.variant) for part in strategy.plan(bench.suite, bench).fits]
    assert sorted(map(repr, planned)) == sorted(map(repr, bench.asked))


def test_a_trained_null_and_cross_fitting_are_fits_of_variants() -> None:
    suite, noise = three_classes(n=10)
    plan = Pvi(null="trained", cross_fit=2).plan(suite, Bench(suite, noise))
    variants = [part.variant for part in plan.fits]
    assert variants[:2] == [Fold(0, 2), Fold(1, 2)]
    assert all(part.groups == tuple(Group.of([n]) for n in suite.names) for part in plan.fits)
    blank = variants[2]
    assert blank is not None
    for example in blank(suite.tasks[0]).examples(Split.TRAIN):
        assert not example.text.strip()
    single = Pvi(null="trained").plan(suite, Bench(suite, noise))
    assert [part.variant for part in single.fits] == [None, Blank()]


def test_cross_fitting_measures_train_and_dev_b_each_example_once() -> None:
    task = noisy_task("a", noise=0.1, n=50)
    bench = bench_of(task, noise={"a": 0.1})
    (row,) = proposed(bench, Pvi(cross_fit=4)).evidence["tasks"]
    assert row["n"] == 250


def test_a_trained_null_that_learned_the_prior_agrees_with_the_closed_form() -> None:
    suite, noise = three_classes(n=200)
    closed, trained = (
        proposed(Bench(suite, noise), Pvi(null=null, calibrate=False)).evidence["tasks"]
        for null in ("closed-form", "trained")
    )
    for one, other in zip(closed, trained, strict=True):
        assert one["mean"] == pytest.approx(other["mean"], abs=0.02)


def test_calibration_undoes_overtraining() -> None:
    tasks = [noisy_task("a", noise=0.15), noisy_task("b", noise=0.15)]
    noise = {"a": 0.15, "b": 0.15}
    bench = bench_of(*tasks, noise=noise, sharpness=5.0)
    raw = proposed(bench, Pvi(calibrate=False))
    scaled = proposed(bench)
    assert raw.evidence["tasks"][0]["mean"] < 0
    assert raw.evidence["tasks"][0]["flags"] == ["negative"]
    assert any("not shown to be above 0" in warning for warning in raw.warnings)
    row = scaled.evidence["tasks"][0]
    assert row["mean"] == pytest.approx(0.39, abs=0.01)
    assert row["temperature"] == pytest.approx(5, rel=0.05)


def test_solved_tasks_with_two_and_three_labels_are_alike_only_when_normalised() -> None:
    tasks = [noisy_task("a", noise=0, n=300), noisy_task("b", noise=0, n=300, n_labels=3)]
    bench = bench_of(*tasks, noise={"a": 0.0, "b": 0.0})
    raw, share = proposed(bench), proposed(bench, Pvi(normalise=True))
    assert blocks(raw) == [("a",), ("b",)]
    assert any("normalise=true" in warning for warning in raw.warnings)
    assert blocks(share) == [("a", "b")]
    assert [row["normalised"] for row in raw.evidence["tasks"]] == pytest.approx([1, 1], abs=1e-3)
    assert share.evidence["margin"] == 0.15
    assert raw.evidence["margin"] == 0.25


def test_clusters_are_the_units_of_testing() -> None:
    tasks = [noisy_task(name, noise=0.1, n=400, per_cluster=40) for name in "ab"]
    bench = bench_of(*tasks, noise={"a": 0.1, "b": 0.1})
    clustered = proposed(bench)
    assert clustered.evidence["tasks"][0]["n_clusters"] == 10
    assert any("Fewer than 20 clusters" in warning for warning in clustered.warnings)


@pytest.mark.parametrize("aggregate", ["sentence_mean", "token", "entity_only"])
def test_words_of_a_sentence_are_never_independent_units(
    aggregate: Literal["sentence_mean", "token", "entity_only"],
) -> None:
    task = noisy_task("a", noise=0.1, kind=Kind.TOKEN, n_labels=3, n=90)
    other = noisy_task("b", noise=0.1, kind=Kind.TOKEN, n_labels=3, n=90)
    bench = bench_of(task, other, noise={"a": 0.1, "b": 0.1})
    grouping = proposed(bench, Pvi(aggregate=aggregate))
    row = grouping.evidence["tasks"][0]
    assert row["n"] == 270 if aggregate == "token" else row["n"] <= 90
    assert any("sentence means" in w for w in grouping.warnings) == (aggregate == "token")
    assert row["mean"] == pytest.approx(np.log2(3) - 0.569, abs=0.15)


def test_constraints_keep_kinds_domains_and_sizes_apart() -> None:
    noise = dict.fromkeys("abcd", 0.02)
    kinds = [Kind.SINGLE, Kind.SINGLE, Kind.MULTILABEL, Kind.MULTILABEL]
    tasks = [
        noisy_task(name, noise=0.02, n=300, kind=kind, domain=domain)
        for name, kind, domain in zip("abcd", kinds, "xyxy", strict=True)
    ]
    bench = bench_of(*tasks, noise=noise)
    assert blocks(proposed(bench)) == [("a", "b", "c", "d")]
    assert blocks(proposed(bench, Pvi(same_kind=True))) == [("a", "b"), ("c", "d")]
    assert blocks(proposed(bench, Pvi(same_domain=True))) == [("a", "c"), ("b", "d")]
    assert max(map(len, blocks(proposed(bench, Pvi(max_group_size=2))))) == 2
    small = Pvi(same_kind=True, min_group_size=3)
    assert blocks(proposed(bench, small)) == [("a",), ("b",), ("c",), ("d",)]


def test_components_chain_and_say_so_while_covers_overlap() -> None:
    noise = {"a": 0.02, "b": 0.055, "c": 0.1}
    tasks = [noisy_task(name, noise=value, n=3000) for name, value in noise.items()]
    bench = bench_of(*tasks, noise=noise)
    margin = 0.25
    assert blocks(proposed(bench, Pvi(margin=margin))) in (
        [("a",), ("b", "c")],
        [("a", "b"), ("c",)],
    )
    chained = proposed(bench, Pvi(margin=margin, rule="components"))
    assert blocks(chained) == [("a", "b", "c")]
    assert any("(a and c)" in warning for warning in chained.warnings)
    cover = proposed(bench, Pvi(margin=margin, rule="maximal_cliques"))
    assert {group.trains for group in cover} == {("a", "b"), ("b", "c")}


def test_affinity_rows_follow_the_suite_and_have_no_diagonal() -> None:
    noise = {"b": 0.02, "a": 0.3}
    bench = bench_of(*(noisy_task(name, noise=value) for name, value in noise.items()), noise=noise)
    shown = proposed(bench).evidence["affinity"]
    assert shown["tasks"] == ["b", "a"]
    assert shown["matrix"][0][0] is shown["matrix"][1][1] is None
    assert shown["matrix"][0][1] == shown["matrix"][1][0] < -0.5
    assert "bits" in shown["unit"]


def test_seeds_that_disagree_show_as_instability() -> None:
    tasks = [noisy_task(name, noise=0.1, n=60) for name in "abc"]
    bench = bench_of(*tasks, noise=dict.fromkeys("abc", 0.1), seeds=(0, 1, 2, 3), jitter=1.5)
    found = proposed(bench, Pvi(margin=0.4)).evidence["stability"]
    assert [row["seed"] for row in found["by_seed"]] == [0, 1, 2, 3]
    assert found["mean_ari"] == pytest.approx(np.mean([row["ari"] for row in found["by_seed"]]))
    assert found["unchanged"] == sum(row["ari"] == 1 for row in found["by_seed"])


def test_seed_variance_widens_the_bootstrap() -> None:
    tasks = [noisy_task(name, noise=0.1, n=2000) for name in "ab"]
    noise = dict.fromkeys("ab", 0.1)

    def width(strategy: Pvi, jumpiness: float) -> float:
        bench = bench_of(*tasks, noise=noise, seeds=(0, 1, 2), jumpiness=jumpiness)
        low, high = proposed(bench, strategy).evidence["pairs"][0]["ci"]
        return float(high - low)

    two_level, plain = Pvi(bootstrap=400, calibrate=False), Pvi(calibrate=False)
    assert width(two_level, 0.0) == pytest.approx(width(plain, 0.0), rel=0.15)
    assert width(two_level, 2.0) > 1.5 * width(plain, 2.0)


def test_a_few_bootstrap_draws_do_not_hide_differences_behind_a_correction() -> None:
    suite, noise = three_classes(n=300)
    grouping = proposed(Bench(suite, noise), Pvi(test="welch", bootstrap=100))
    planted = [[f"{level}-{letter}" for letter in KINDS] for level in NOISES]
    assert adjusted_rand_index(blocks(grouping), planted) == 1.0


def test_the_paper_preset_is_welch_without_calibration_and_called_a_reading() -> None:
    suite, noise = three_classes(n=100)
    paper = proposed(Bench(suite, noise, jitter=0.2), PviPaper())
    plain = Pvi(test="welch", correction="none", calibrate=False)
    assert paper.groups == proposed(Bench(suite, noise, jitter=0.2), plain).groups
    assert "our reading" in paper.evidence["reading"]
    assert "our reading" in PviPaper.summary


def test_one_task_is_one_group() -> None:
    bench = bench_of(noisy_task("a", noise=0.1), noise={"a": 0.1}, seeds=(0,))
    grouping = proposed(bench)
    assert blocks(grouping) == [("a",)]
    assert grouping.evidence["pairs"] == []


def test_a_runner_without_probabilities_is_refused_with_its_name() -> None:
    bench = bench_of(noisy_task("a", noise=0.1), noise={"a": 0.1}, with_log_probs=False)
    with pytest.raises(IncompatibleError, match="Runner fake gives no probabilities"):
        proposed(bench)


@pytest.mark.parametrize("n", [0, 1])
def test_a_task_without_dev_rows_is_refused_with_the_mend(n: int) -> None:
    bench = bench_of(noisy_task("a", noise=0.1, n=n), noise={"a": 0.1})
    with pytest.raises(DataError, match=f"task a: dev-B has {n} example"):
        proposed(bench)


def test_a_task_with_one_label_has_no_normalised_pvi() -> None:
    task = noisy_task("a", noise=0, n_labels=1, n=20)
    bench = bench_of(task, noise={"a": 0.0})
    with pytest.raises(DataError, match="task a: all training labels are the same"):
        proposed(bench, Pvi(normalise=True))
    (row,) = proposed(bench).evidence["tasks"]
    assert row["normalised"] is None
    assert "one-label" in row["flags"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": 1.5}, "alpha = 1.5 must lie between 0 and 1"),
        ({"margin": 0.0}, "margin = 0.0 must be above 0"),
        ({"cross_fit": 1}, "leaves nothing to train on"),
        ({"bootstrap": 200, "test": "ks"}, "goes with test=tost or welch"),
        ({"gate": "anova"}, "goes with difference tests"),
        ({"equal_sizes": -1}, "equal_sizes = -1 must be 0 or more"),
        ({"max_group_size": 2, "min_group_size": 3}, "is below min_group_size"),
        ({"rule": "components", "max_group_size": 3}, "use clique_partition"),
        ({"test": "t"}, "test"),
        ({"margn": 0.2}, "Did you mean 'margin'"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match="grouping pvi") as problem:
        configure(Pvi, wrong, where="grouping pvi")
    assert message in str(problem.value)


@pytest.mark.parametrize("cls", [Pvi, PviPaper])
def test_every_setting_is_documented(cls: type) -> None:
    assert all(setting.summary for setting in describe(cls))


def test_registering_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from groupbench_pvi.hooks import groupbench_register_groupings as register\n"
        "assert [cls.name for cls in register()] == ['pvi', 'pvi-paper']\n"
        "import groupbench_pvi.command\n"
        "heavy = {'numpy', 'scipy', 'torch', 'sklearn', 'pyarrow', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
