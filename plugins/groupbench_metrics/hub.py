"""Metrics of the Hugging Face hub: somebody else's code, run only by name and pinned revision.

A card writes ``hub:evaluate-metric/rouge@<commit>``, with ``#rougeL`` behind it where the module
returns several numbers; the command line agrees with ``--trust-remote-code`` and the same name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from groupbench.errors import PluginError, PolicyError, SettingError
from groupbench.task import Kind

if TYPE_CHECKING:
    from groupbench.metrics import Metric, MetricTask
    from groupbench.predictions import IntArray, Predictions

_NAME = re.compile(r"(?P<module>[\w.-]+/(?P<last>[\w.-]+))(@(?P<revision>[^#]*))?(#(?P<key>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_ANSWER_TAG = "I-no_valid_answer"


@dataclass(frozen=True, slots=True)
class HubMetrics:
    """The family of metrics whose names begin with ``hub:``. Not a metric itself."""

    name: ClassVar[str] = "hub"
    summary: ClassVar[str] = "hub:OWNER/NAME@COMMIT, any `evaluate` module of the hub, if trusted"
    kinds: ClassVar[frozenset[Kind]] = frozenset()
    citation: ClassVar[str] = ""

    def score(self, predictions: Predictions, task: MetricTask) -> float:
        del task
        raise ValueError(f"task {predictions.task}: hub is no metric; name hub:OWNER/NAME@COMMIT.")

    def resolve(self, rest: str, *, allowed: frozenset[str], offline: bool) -> Metric:
        """Return the metric ``hub:rest``; see `hub_metric`."""
        return hub_metric(f"hub:{rest}", allowed=allowed, offline=offline)


@dataclass(frozen=True, eq=False)
class EvaluateMetric:
    """A loaded `evaluate` module as a metric. It is given label names where it takes strings."""

    name: str
    module: Any
    """An ``evaluate.EvaluationModule``."""
    key: str
    """Which of the numbers that it returns."""
    script_hash: str
    """Of the code that ran, to key scores by."""
    kinds: frozenset[Kind] = frozenset(Kind)

    @property
    def summary(self) -> str:
        return str(self.module.description).strip().partition("\n")[0]

    @property
    def citation(self) -> str:
        return str(self.module.citation).strip()

    def score(self, predictions: Predictions, task: MetricTask) -> float:
        """Return what the module computes; "no valid answer" is given as one more label, -1.

        Raises:
            ValueError: there are no examples, an outcome is ``infra``, a multilabel answer is
                missing (modules have no way to say that), or the score is not a number.
            SettingError: the module returns several numbers and the name does not pick one.
        """
        import math

        from groupbench.metrics import answered

        if not len(predictions):
            raise ValueError(f"task {predictions.task}: there are no examples to score.")
        predicted = answered(predictions)
        if predictions.kind is Kind.MULTILABEL and (predicted < 0).any():
            raise ValueError(
                f"task {predictions.task}: {self.name} cannot judge label sets of which some are "
                "no valid answer."
            )
        names: tuple[str, ...] | None = None
        if self._takes_strings():
            # NO_ANSWER indexes the last name
            missing = _NO_ANSWER_TAG if predictions.kind is Kind.TOKEN else ""
            names = (*task.labels, missing)
        results = self.module.compute(
            references=_rows(predictions, predictions.gold, names),
            predictions=_rows(predictions, predicted, names),
        )
        key = self.key if self.key in results else next(iter(results))
        if self.key not in results and len(results) > 1:
            raise SettingError(
                f"{self.name} returns {', '.join(results)}: add one of them, as {self.name}#{key}."
            )
        value = float(results[key])
        if not math.isfinite(value):
            raise ValueError(f"task {predictions.task}: {self.name} returned {value}.")
        return value

    def _takes_strings(self) -> bool:
        features = self.module.features
        first = features[0] if isinstance(features, list) else features
        feature = first["predictions"]
        while hasattr(feature, "feature"):
            feature = feature.feature
        return getattr(feature, "dtype", None) == "string"


def hub_metric(name: str, *, allowed: frozenset[str], offline: bool = False) -> EvaluateMetric:
    """Load a metric of the hub, which runs its code.

    Args:
        name: ``hub:OWNER/NAME@COMMIT``, with ``#KEY`` where it returns several numbers.
        allowed: names whose code may run, as ``--trust-remote-code`` gives them, without ``#KEY``;
            with or without ``hub:``.
        offline: only what is in the local cache may be used.

    Raises:
        SettingError: the name has no pinned commit.
        PolicyError: it is not allowed.
        PluginError: it cannot be loaded.
    """
    match = _NAME.fullmatch(name.removeprefix("hub:"))
    if match is None:
        raise SettingError(f"metric {name!r}: write hub:OWNER/NAME@COMMIT.")
    module, revision = match["module"], match["revision"]
    if not revision or not _COMMIT.fullmatch(revision):
        raise SettingError(
            f"metric {name!r}: name the commit, 40 hexadecimal digits, as hub:{module}@COMMIT; "
            "a branch or tag can change under you."
        )
    pinned = f"{module}@{revision}"
    if not {pinned, f"hub:{pinned}"} & allowed:
        raise PolicyError(
            f"metric {name!r} runs code from the hub: read it, then agree with "
            f"--trust-remote-code hub:{pinned}."
        )
    return _load(
        name, module, revision=revision, key=match["key"] or match["last"], offline=offline
    )


def _load(name: str, path: str, *, revision: str, key: str, offline: bool) -> EvaluateMetric:
    try:
        import datasets
        import evaluate.config
        from evaluate.loading import HubEvaluationModuleFactory, import_main_class
    except ImportError as problem:
        raise PluginError(
            f"metric {name!r}: evaluate cannot be imported ({problem}): "
            "pip install 'groupbench[evaluate]'."
        ) from None
    # else it tells a server which metrics are loaded, offline too
    evaluate.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    # a commit does not change: what was downloaded once needs no question to the hub
    config = datasets.DownloadConfig(use_etag=False, local_files_only=offline)
    try:
        # `evaluate.load` would prefer a folder of this name in the working directory and, with the
        # hub out of reach, the newest script it has seen, whatever the revision
        found = HubEvaluationModuleFactory(
            path, revision=revision, download_config=config
        ).get_module()
        module = import_main_class(found.module_path)(keep_in_memory=True, hash=found.hash)
    except Exception as problem:  # somebody else's code may raise anything
        said = str(problem).strip().splitlines() or [type(problem).__name__]
        mend = (
            "It is not in the local cache and --offline forbids to fetch it: run once online."
            if offline
            else "Is the name right, the hub reachable, and what it imports installed?"
        )
        raise PluginError(f"metric {name!r} cannot be loaded: {said[0].rstrip('.')}. {mend}") from (
            problem
        )
    return EvaluateMetric(name, module, key, found.hash)


def _rows(predictions: Predictions, values: IntArray, labels: tuple[str, ...] | None) -> list[Any]:
    """Return label indices or names as an `evaluate` module wants them, one entry an example."""
    if predictions.kind is Kind.MULTILABEL:
        if labels is None:
            rows: list[Any] = values.tolist()
            return rows
        return [[labels[i] for i in row.nonzero()[0]] for row in values]
    flat = values.tolist() if labels is None else [labels[i] for i in values]
    if predictions.kind is not Kind.TOKEN:
        return list(flat)
    bounds = predictions.offsets.tolist()
    return [flat[start:end] for start, end in pairwise(bounds)]
