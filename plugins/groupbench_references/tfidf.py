"""The runner of linear models on words."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from groupbench.runner import Costs, FitResult, Place, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.canonical import Json
    from groupbench.grouping import Group
    from groupbench.runner import FitRequest
    from groupbench.suite import Suite


@dataclass(frozen=True, slots=True)
class TfidfRunner:
    """Logistic regression on tf-idf of words and word n-grams; a linear tagger for token tasks.

    Pairs: the two texts have features of their own. Multilabel: one regression a label. Tagger: the
    word, its prefixes, suffixes and shape, and those of two words to each side; each word's tag is
    decided alone. Deterministic: seeds change nothing.
    """

    name: ClassVar[str] = "tfidf"
    summary: ClassVar[str] = "logistic regression on tf-idf; token tasks: a linear tagger"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    preload: ClassVar[tuple[str, ...]] = (
        "sklearn.linear_model",
        "sklearn.feature_extraction.text",
    )
    deciding_modules: ClassVar[tuple[str, ...]] = ("groupbench.predictions",)

    ngrams: int = 2
    """Longest word n-gram; token tasks: unused."""
    c: float = 3.0
    """Inverse strength of the L2 penalty."""
    tagger_c: float = 0.3
    """The same for token tasks."""
    max_features: int = 50_000
    """How many of the commonest features to keep; 0: all."""
    max_iterations: int = 200
    """Of the optimiser, L-BFGS; where it stops there, a warning says so."""

    def __post_init__(self) -> None:
        if (
            self.ngrams < 1
            or self.max_iterations < 1
            or self.max_features < 0
            or min(self.c, self.tagger_c) <= 0
        ):
            raise ValueError(
                "ngrams and max_iterations must be at least 1, c and tagger_c above 0, "
                "max_features not below 0"
            )

    def availability(self) -> str | None:
        if find_spec("sklearn") is None:
            return "scikit-learn is not installed: pip install 'groupbench[references]'."
        return None

    def place(self) -> Place:
        return Place.LOCAL

    def resources(self, group: Group, suite: Suite) -> Resources:
        del group, suite
        return Resources(cpus=1)

    def identity(self) -> Mapping[str, Json]:
        return {}

    def fit(self, request: FitRequest) -> FitResult:
        """Fit each task on its own."""
        import time

        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # has no types

        from groupbench_references.linear import fit_task

        outputs, training, warnings = {}, {}, []
        train_seconds = predict_seconds = 0.0
        example_steps = tokens = n_parameters = n_predicted = 0
        # one thread: sums have one order, and fits run side by side
        with threadpool_limits(1):
            for given in request.tasks:
                started = time.perf_counter()
                model = fit_task(self, given)
                trained = time.perf_counter()
                outputs[given.task.name] = {
                    split: model.predict(examples) for split, examples in given.predict.items()
                }
                train_seconds += trained - started
                predict_seconds += time.perf_counter() - trained
                n_predicted += sum(len(examples) for examples in given.predict.values())
                example_steps += len(given.train) * model.n_iterations
                tokens += model.n_tokens * model.n_iterations
                n_parameters += model.n_parameters
                training[given.task.name] = {
                    "n_features": model.n_features,
                    "n_iterations": model.n_iterations,
                }
                warnings += [f"{given.task.name}: {warning}" for warning in model.warnings]
        costs = Costs(
            train_seconds=train_seconds,
            predict_seconds=predict_seconds,
            n_predicted=n_predicted,
            example_steps=example_steps,
            tokens=tokens,
            n_parameters=n_parameters,
        )
        return FitResult(outputs, costs, training=training, warnings=tuple(warnings))
