"""What fits would send to a model and what that may cost, said before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from groupbench.errors import GroupbenchError
from groupbench.execute import without_leaks
from groupbench.runner import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.canonical import Json
    from groupbench.keys import FitOrder
    from groupbench.runner import Runner


@dataclass(frozen=True, slots=True)
class Estimate:
    """About what asking a model takes: what `groupbench.runner.Estimating` returns of a fit.

    Retries and lost replies come on top. ``None`` is not known, and a sum with it neither.
    """

    n_examples: int
    """To be asked about."""
    n_prompts: int
    """Prompts that were built for this, as they would be sent; the others are taken to be alike."""
    n_stored: int = 0
    """Of the examples: answered by a store of responses, free, and counted nowhere below."""
    tokens_in: int = 0
    tokens_in_worst: int = 0
    tokens_out: int = 0
    """As long as answers are expected to be."""
    tokens_out_worst: int = 0
    """Each answer as long as it may be."""
    usd: float | None = None
    usd_worst: float | None = None
    usd_per_hour: float | None = None
    """Where a machine's hours are what it costs, and not its tokens."""
    counted_by: str = "the model's tokenizer"

    def __add__(self, other: Estimate) -> Estimate:
        sums: dict[str, Any] = {
            f.name: _sum(getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)
            if f.name not in {"counted_by", "usd_per_hour"}
        }
        return Estimate(**sums, usd_per_hour=self.usd_per_hour, counted_by=self.counted_by)


@dataclass(slots=True)
class RunnerEstimate:
    """Of all fits of one runner that are not stored."""

    runner: Runner
    label: str
    available: bool
    n_fits: int = 0
    total: Estimate = field(default_factory=lambda: Estimate(0, 0, usd=0.0, usd_worst=0.0))
    problem: str | None = None
    """Why it is not known."""

    @property
    def billed(self) -> bool:
        """Whether somebody bills requests: it counts in the sums of a run."""
        by_the_hour = self.total.usd_per_hour is not None
        return self.available and self.runner.place() is not Place.LOCAL and not by_the_hour

    def to_json(self) -> dict[str, Json]:
        """Return the row of a plan; ``null`` where something is not known."""
        known, all_ = self.problem is None, self.total
        counts: dict[str, Json] = {
            "examples": all_.n_examples,
            "prompts_built": all_.n_prompts,
            "stored_answers": all_.n_stored,
            "tokens_in": all_.tokens_in,
            "tokens_in_worst": all_.tokens_in_worst,
            "tokens_out": all_.tokens_out,
            "tokens_out_worst": all_.tokens_out_worst,
            "usd": None if all_.usd is None else round(all_.usd, 8),
            "usd_worst": None if all_.usd_worst is None else round(all_.usd_worst, 8),
            "usd_per_hour": all_.usd_per_hour,
            "counted_by": all_.counted_by,
        }
        return {
            "runner": self.label,
            "place": str(self.runner.place()),
            "available": self.available,
            "fits": self.n_fits,
            **(counts if known else dict.fromkeys(counts)),
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Estimates:
    """Of all runners of a run that ask a model."""

    runners: tuple[RunnerEstimate, ...]

    @property
    def tokens(self) -> int | None:
        """Sent and written, expected; ``None`` where no runner asks a model, or it is not known."""
        there = [each for each in self.runners if each.available]
        if not there or any(each.problem is not None for each in there):
            return None
        return sum(each.total.tokens_in + each.total.tokens_out for each in there)

    @property
    def usd(self) -> float | None:
        """Billed by others, expected; ``None`` where a price is not known."""
        return self._billed(worst=False)

    @property
    def usd_worst(self) -> float | None:
        """Billed by others, with every answer as long as it may be."""
        return self._billed(worst=True)

    def _billed(self, *, worst: bool) -> float | None:
        found: float | None = 0.0
        for each in self.runners:
            if each.billed:
                usd = each.total.usd_worst if worst else each.total.usd
                found = _sum(found, usd if each.problem is None else None)
        return None if found is None else round(found, 8)


def estimates_of(missing: Iterable[FitOrder], skipped: Iterable[FitOrder]) -> Estimates:
    """Return what fits would send, by runner, for runners that offer ``estimate``.

    Args:
        missing: fits that the store lacks.
        skipped: fits of runners that cannot run here; what they would send is told too.
    """
    runners: dict[str, RunnerEstimate] = {}
    for orders, available in ((missing, True), (skipped, False)):
        for order in orders:
            if hasattr(order.runner, "estimate"):
                name = order.identity.label
                runners.setdefault(name, RunnerEstimate(order.runner, name, available))
                _add(runners[name], order)
    return Estimates(tuple(runners.values()))


def _add(to: RunnerEstimate, order: FitOrder) -> None:
    to.n_fits += 1
    if to.problem is not None:
        return
    inputs, _ = without_leaks(order.tasks, order.splits)
    try:
        found: Estimate = to.runner.estimate(inputs, order.seed)  # type: ignore[attr-defined] # it was asked whether it has it
    except GroupbenchError as problem:
        to.problem = str(problem)
        return
    to.total = found if to.n_fits == 1 else to.total + found


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
