"""A probe: where the texts of each task lie in a model's space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from groupbench import Split

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from groupbench import TrainableModel


@dataclass(frozen=True)
class MeanPooled:
    """The mean pooled output of each task's train examples, shape ``[hidden]``, by task."""

    name: ClassVar[str] = "mean-pooled"
    acts_during_training: ClassVar[bool] = False

    n_examples: int = 256
    """Examples looked at, of each task."""

    def before_training(self, model: TrainableModel) -> None:
        """Nothing: it looks at the finished model only."""

    def after_step(self, model: TrainableModel, step: int) -> None:
        """Nothing: it looks at the finished model only."""

    def finish(self, model: TrainableModel) -> Mapping[str, npt.NDArray[np.float64]]:
        import numpy as np

        means = {}
        for task in model.tasks:
            seen: list[npt.NDArray[np.float64]] = []
            for batch in model.batches(task, Split.TRAIN, 32, seed=0):
                seen.extend(_array(model.pooled(batch)))
                if len(seen) >= self.n_examples:
                    break
            means[task] = np.mean(seen[: self.n_examples], axis=0)
        return means


def _array(pooled: Any) -> npt.NDArray[np.float64]:
    """Return a pooled output as numpy; models of torch return it with a graph, on any device."""
    import numpy as np

    if hasattr(pooled, "detach"):
        pooled = pooled.detach().float().cpu().numpy()
    return np.asarray(pooled, dtype=np.float64)
