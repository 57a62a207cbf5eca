"""Two shapes that most metrics have: a share of right ones, and F1 of one count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.metrics import AdditiveMetric

if TYPE_CHECKING:
    from groupbench.metrics import MetricTask
    from groupbench.predictions import FloatArray


class Share(AdditiveMetric):
    """Sums are ``[right, all]``; the score is the share, 0 of none."""

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import ratio

        del task
        return ratio(sums[..., 0], sums[..., 1])


class PooledF1(AdditiveMetric):
    """Sums are ``[true positives, predicted, gold]``; the score is their F1, 0 of none."""

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import ratio

        del task
        return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])
