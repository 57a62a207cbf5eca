"""A grouping strategy: tasks whose texts lie close together share a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groupbench import Group, Grouping, Plan, PlannedFits, SettingError
from groupbench_outside.probe import MeanPooled

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from groupbench import Suite, Workbench

    Arrays = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Centroids:
    """Groups tasks by the cosine of their mean pooled outputs in one model of all tasks."""

    name: ClassVar[str] = "centroids"
    summary: ClassVar[str] = "tasks whose texts lie close together in a model of all tasks"

    threshold: float = 0.64
    """Tasks whose centroids have at least this cosine share a model."""
    n_examples: int = 256
    """Examples of each task that its centroid is made of."""

    def __post_init__(self) -> None:
        if not -1 <= self.threshold <= 1:
            raise SettingError(f"centroids: threshold = {self.threshold} must be from -1 to 1.")

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:  # noqa: ARG002 - of the protocol
        """One fit of everything, with the probe."""
        everything = Group.of(suite.names)
        return Plan((PlannedFits((everything,), probes=(MeanPooled(self.n_examples),)),))

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        import numpy as np

        probe = MeanPooled(self.n_examples)
        fits = workbench.fits([Group.of(suite.names)], probes=[probe])
        # Seeds have spaces of their own: cosines are averaged, not centroids.
        cosines = np.mean(
            [_cosines(fit.arrays(probe.name), suite) for fit in fits.values()], axis=0
        )
        return Grouping.partition(
            _linked(suite.names, cosines >= self.threshold),
            evidence={
                "affinity": {
                    "tasks": list(suite.names),
                    "matrix": [
                        [None if i == j else float(cosine) for j, cosine in enumerate(row)]
                        for i, row in enumerate(cosines)
                    ],
                    "unit": "cosine",
                }
            },
        )


def _cosines(centroids: Arrays, suite: Suite) -> npt.NDArray[np.float64]:
    """Return the cosine of each pair of tasks."""
    import numpy as np

    rows = np.stack([centroids[name] for name in suite.names])
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1.0)
    return np.asarray(rows @ rows.T)


def _linked(names: tuple[str, ...], close: npt.NDArray[np.bool_]) -> list[list[str]]:
    """Return the connected components of a relation."""
    blocks: list[set[int]] = []
    for i in range(len(names)):
        joined = [block for block in blocks if any(close[i, j] for j in block)]
        blocks = [block for block in blocks if block not in joined]
        blocks.append({i}.union(*joined))
    return [[names[i] for i in sorted(block)] for block in blocks]
