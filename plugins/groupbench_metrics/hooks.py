"""What this plugin offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.metrics import Metric


@hookimpl
def groupbench_register_metrics() -> Iterable[Metric]:
    from groupbench_metrics.hub import HubMetrics
    from groupbench_metrics.labels import (
        Accuracy,
        F1Binary,
        F1Macro,
        F1Micro,
        LabelAccuracy,
        MatthewsCorrelation,
    )
    from groupbench_metrics.tags import EntityAccuracy, SeqevalF1, TokenAccuracy, TokenF1Macro

    return (
        Accuracy(),
        F1Macro(),
        F1Micro(),
        F1Binary(),
        MatthewsCorrelation(),
        LabelAccuracy(),
        SeqevalF1(),
        TokenF1Macro(),
        TokenAccuracy(),
        EntityAccuracy(),
        HubMetrics(),
    )
