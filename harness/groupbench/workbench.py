"""What a strategy asks for evidence: fits, probes and predictions, answered from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.grouping import Group, Grouping, Plan
    from groupbench.predictions import Predictions
    from groupbench.runner import Arrays, Costs, Probe
    from groupbench.suite import Suite
    from groupbench.task import Split
    from groupbench.variants import Variant


class FitEvidence(Protocol):
    """One finished fit as a strategy may see it."""

    @property
    def group(self) -> Group:
        """What it trained."""
        ...

    @property
    def seed(self) -> int:
        """Its seed."""
        ...

    @property
    def costs(self) -> Costs:
        """What it took."""
        ...

    def predictions(self, task: str, split: Split) -> Predictions:
        """Return predictions on dev-A or dev-B. Fits of a group of one serve every strategy.

        Raises:
            HeldBackError: the test split was asked for.
        """
        ...

    def arrays(self, probe: str) -> Arrays:
        """Return what a probe measured, by the probe's name."""
        ...

    def training(self) -> Mapping[str, object]:
        """Return the course of training: losses over steps, the checkpoint picked."""
        ...


class Workbench(Protocol):
    """What a strategy asks for evidence.

    It knows the runner, the seeds, the executor and the store, and answers from the store when it
    can. Fits asked for together run side by side.
    """

    @property
    def suite(self) -> Suite:
        """The suite, blinded: without planted truth and test split."""
        ...

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every fit is had for each of them."""
        ...

    @property
    def runner_name(self) -> str:
        """The runner's spec, for evidence and messages."""
        ...

    def fits(
        self,
        groups: Sequence[Group],
        *,
        variant: Variant | None = None,
        probes: Sequence[Probe] = (),
        keep_weights: bool = False,
    ) -> Mapping[tuple[Group, int], FitEvidence]:
        """Return a fit of each group for each seed, training what is not stored.

        Raises:
            FitsFailedError: some could not be had; it names them and why.
        """
        ...

    def propose(self, spec: str) -> Grouping:
        """Return what another strategy proposes, for example ``pvi:margin=0.2``."""
        ...

    def plan(self, spec: str) -> Plan:
        """Return what another strategy will ask for."""
        ...
