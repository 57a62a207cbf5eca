"""The calibration suites, recovered by the smallest encoder: the acceptance of five worlds.

World w is the suite of seed w, trained with seed w. One test measures and judges one world, so
that worlds run side by side under xdist; what is judged over all worlds reads what they left.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from filelock import FileLock

from groupbench.task import Split
from groupbench_encoder.runner import EncoderRunner
from groupbench_pvi.strategy import Pvi
from groupbench_references.tfidf import TfidfRunner
from groupbench_tasks.calibration import bounds
from groupbench_tasks.calibration.design import CALIBRATION
from groupbench_tasks.calibration.recovery import (
    ALL,
    CLASS,
    DOMAIN,
    FAMILY,
    InProcess,
    Recovery,
    accuracy_of,
    joined,
    measure,
    partition,
    random_partition,
    shuffled,
)
from groupbench_tasks.calibration.suites import Calibration, CalibrationAgree

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.suite import Suite

pytestmark = pytest.mark.slow

WORLDS = (1, 2, 3, 4, 5)
TOLERANCE_BITS = 0.04
"""Of `tiny`: design page, section 9, item 1."""

TINY = EncoderRunner(model="tiny")


class Measured(msgspec.Struct):
    """What is kept of one world."""

    neural: Recovery
    linear: dict[str, float]


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of one run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def measured(world: int, kept: Path) -> Measured:
    """Return what a world measures, computed by one worker only."""
    file = kept / f"calibration-{world}.json"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(msgspec.json.encode(measure_world(Calibration(world).build(), world)))
    return msgspec.json.decode(file.read_bytes(), type=Measured)


def measure_world(suite: Suite, seed: int) -> Measured:
    """Measure what sections 1, 2, 3 and 5 judge, and no more: groups without need are left out."""
    unseen = {task.name for task in CALIBRATION.tasks if task.hidden}
    hidden = [group for group in partition(suite, CLASS) if unseen.issuperset(group)]
    neural = measure(
        suite,
        TINY,
        seed,
        {
            FAMILY: partition(suite, FAMILY),
            CLASS: hidden,
            DOMAIN: partition(suite, DOMAIN),
            ALL: partition(suite, ALL),
        },
        Pvi(),
    )
    bench = InProcess(joined(suite), TfidfRunner(ngrams=2), seed)
    linear = {
        name: accuracy_of(bench.fit([name]).predictions(name, Split.TEST))
        for name in (*bounds.ORDER_TASKS, *neural.hidden)
    }
    return Measured(neural, linear)


def judged(found: Measured) -> dict[str, list[str]]:
    """Return what each item misses in one world."""
    return {
        "information": bounds.information(found.neural, TOLERANCE_BITS),
        "classes": bounds.classes(found.neural),
        "transfer": bounds.transfer(found.neural),
        "references": bounds.references(found.neural, found.linear),
    }


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_gives_back_what_was_planted(world: int, kept: Path) -> None:
    missed = judged(measured(world, kept))
    assert not any(missed.values()), missed


def test_families_beat_one_model_of_all_in_the_mean_of_worlds(kept: Path) -> None:
    assert bounds.transfer_in_the_mean([measured(w, kept).neural for w in WORLDS]) == []


def test_shuffled_labels_fail_every_check() -> None:
    missed = judged(measure_world(shuffled(Calibration(1).build(), 1), 1))
    assert all(missed.values()), missed
    assert set(missed) == {"information", "classes", "transfer", "references"}


@pytest.mark.parametrize("world", [1])
def test_pvi_finds_the_families_where_difficulty_agrees(world: int) -> None:
    suite = CalibrationAgree(world).build()
    rng = np.random.default_rng(world)
    found = measure(
        suite,
        TINY,
        world,
        {FAMILY: partition(suite, FAMILY), "random-0": random_partition(suite, 3, rng)},
        Pvi(),
    )
    assert bounds.agreeing(found, ["random-0"]) == []
