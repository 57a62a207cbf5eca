"""What a run may take, and how much of it is gone: hours, and dollars that requests are billed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.runner import Place

if TYPE_CHECKING:
    from groupbench.experiment import ExperimentLimits
    from groupbench.keys import FitOrder


@dataclass(eq=False)
class Allowance:
    """The limits of a run, and what counts against them."""

    limits: ExperimentLimits
    usd: float = 0.0
    """Billed for what fits that ended well asked."""
    claimed_usd: float = 0.0
    """Of those: by fits of runners with ``claims_usd``, so that the run's ledger has them too."""
    _started: float = field(default_factory=time.monotonic)

    def spend(self, order: FitOrder, usd: float) -> None:
        """Count the dollars of a fit that ended well."""
        self.usd += usd
        if getattr(order.runner, "claims_usd", False):
            self.claimed_usd += usd

    @property
    def usd_left(self) -> float | None:
        """Dollars that are neither spent nor forbidden; ``None`` without a limit."""
        usd = self.limits.max_usd
        return None if usd is None else max(0.0, usd - self.usd)

    def exhausted(self) -> str | None:
        """Return which limit was reached; ``None`` if more may be started."""
        hours, usd = self.limits.max_hours, self.limits.max_usd
        if hours is not None and time.monotonic() - self._started >= hours * 3600:
            return f"max_hours = {hours} was reached"
        if usd is not None and self.usd > 0 and self.usd >= usd:
            return f"max_usd = {usd} was reached"
        return None

    def contend(self, one: FitOrder, other: FitOrder) -> bool:
        """Return whether both fits count on the dollars that are left, which are then spent twice.

        So do fits that send text away, but for those that set dollars aside among themselves.
        """
        runners = one.runner, other.runner
        if self.limits.max_usd is None or any(r.place() is Place.LOCAL for r in runners):
            return False
        return not all(getattr(runner, "claims_usd", False) for runner in runners)
