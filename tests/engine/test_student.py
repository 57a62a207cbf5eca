"""Quantiles of our own against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri, stdtrit
from scipy.stats import t as student

from groupbench.stats.student import normal_quantile, t_quantile, t_tail
from groupbench.stats.uncertainty import Estimate, Part

alphas = st.floats(-60, -1e-3).map(lambda log2: 2.0**log2)
dofs = st.one_of(st.integers(1, 400).map(float), st.floats(1, 400))


@given(alphas, dofs)
def test_t_tail_undoes_t_quantile(alpha: float, dof: float) -> None:
    assert t_tail(t_quantile(alpha, dof), dof) == pytest.approx(alpha, rel=1e-9)


@given(st.floats(1e-3, 50), dofs)
def test_t_tail_is_scipys(t: float, dof: float) -> None:
    assert t_tail(t, dof) == pytest.approx(2 * student.sf(t, dof), rel=1e-9, abs=1e-300)


@given(st.floats(1e-6, 0.999), dofs)
def test_quantiles_are_scipys(alpha: float, dof: float) -> None:
    assert t_quantile(alpha, dof) == pytest.approx(-stdtrit(dof, alpha / 2), rel=1e-6)
    assert normal_quantile(alpha) == pytest.approx(-ndtri(alpha / 2), rel=1e-9)


def test_quantiles_at_one_are_zero() -> None:
    assert t_quantile(1.0, 2.0) == normal_quantile(1.0) == 0.0


parts = st.builds(Part, st.floats(1e-8, 1e-2), st.floats(0, 1e-3), dofs)


@given(st.floats(1e-3, 0.5), st.floats(1e-8, 1e-2), st.lists(parts, max_size=2).map(tuple))
def test_p_value_is_the_level_whose_interval_just_reaches_zero(
    mean: float, examples: float, of: tuple[Part, ...]
) -> None:
    estimate = Estimate(mean, examples, of)
    p = estimate.p_value()
    assert 2.0**-60 <= p <= 1
    if p > 2.0**-60:
        assert estimate.half(p) == pytest.approx(mean, rel=1e-6)


@given(st.floats(1e-3, 5.0))
def test_p_value_without_parts_is_the_normals(z: float) -> None:
    assert Estimate(z * 0.01, 1e-4).p_value() == pytest.approx(
        math.erfc(z / math.sqrt(2)), rel=1e-6
    )
