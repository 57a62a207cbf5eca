from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from groupbench.stats.corrections import CORRECTIONS, bh, bonferroni, holm

unhurried = settings(
    deadline=None, max_examples=60, phases=[p for p in Phase if p is not Phase.explain]
)

p_values = st.lists(st.floats(0, 1, allow_nan=False), max_size=20)


def test_values_worked_by_hand() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert bonferroni(p).tolist() == pytest.approx([0.04, 0.16, 0.12, 0.02])
    assert holm(p).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert bh(p).tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])


@unhurried
@given(p=p_values)
def test_bh_is_what_scipy_computes(p: list[float]) -> None:
    from scipy.stats import false_discovery_control

    if p:
        assert bh(p) == pytest.approx(false_discovery_control(p))


@pytest.mark.parametrize("name", CORRECTIONS)
@unhurried
@given(p=p_values, data=st.data())
def test_adjusting_keeps_the_order_stays_a_probability_and_never_makes_p_smaller(
    name: str, p: list[float], data: st.DataObject
) -> None:
    adjusted = CORRECTIONS[name](p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    shuffled = data.draw(st.permutations(range(len(p))))
    assert CORRECTIONS[name]([p[i] for i in shuffled]) == pytest.approx(adjusted[shuffled])


@unhurried
@given(p=p_values)
def test_each_correction_is_at_most_as_strict_as_the_one_before(p: list[float]) -> None:
    tolerance = 1e-12
    assert (bonferroni(p) >= holm(p) - tolerance).all()
    assert (holm(p) >= bh(p) - tolerance).all()
