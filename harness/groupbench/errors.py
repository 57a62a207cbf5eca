"""What can go wrong that a user can mend, and the exit code each error ends with.

::

    GroupbenchError                    2  one or two sentences: file, field, value, mend
    ├── UnknownNameError               2  a name nobody registered
    ├── SettingError                   2  a setting of a strategy, runner or executor
    ├── CardError                      2  a task card
    ├── DataError                      2  a task's data
    ├── ExperimentError                2  an experiment file
    ├── GroupingError                  2  groups that do not serve each task exactly once
    ├── PluginError                    2  a plugin that cannot be used
    ├── StoreError                     2  a store that cannot be read or written
    ├── HeldBackError                  2  a strategy reached for the test split
    ├── UnavailableError               2  what a runner needs is not here; a run skips its row
    ├── IncompatibleError              2  what does not go together; a run skips its row
    ├── NothingToRunError              5  nothing was selected, or everything was skipped
    └── PolicyError                    6  a policy refused or stopped the run
    Diverged                              a fit's training failed; the engine tries another seed

``ValueError`` is a caller's mistake in code.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


MOST_NAMES = 50
"""Known names that a message lists; there may be a hundred thousand ids of examples."""


class GroupbenchError(Exception):
    """Something the user can mend, said in one or two sentences."""

    exit_code: ClassVar[int] = 2


class UnknownNameError(GroupbenchError):
    """A name that nothing registered, with the nearest one that exists.

    >>> print(UnknownNameError("grouping", "randm", ["random", "single"]))
    No grouping named 'randm'. Did you mean 'random'?
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=1)
        if near:
            mend = f"Did you mean '{near[0]}'?"
        elif len(known) > MOST_NAMES:
            mend = f"Known: {', '.join(known[:MOST_NAMES])} and {len(known) - MOST_NAMES} more."
        elif known:
            mend = f"Known: {', '.join(known)}."
        else:
            mend = f"No {what} is registered."
        super().__init__(f"No {what} named '{name}'. {mend}")


class SettingError(GroupbenchError):
    """A setting that does not exist, or a value it cannot take."""


class CardError(GroupbenchError):
    """A task card that cannot be read or contradicts itself."""


class DataError(GroupbenchError):
    """Data that do not fit their card."""


class ExperimentError(GroupbenchError):
    """An experiment file that cannot be read or asks for the impossible."""


class GroupingError(GroupbenchError):
    """Groups that do not serve each task of the suite exactly once."""


class PluginError(GroupbenchError):
    """A plugin that was asked for and cannot be used."""


class StoreError(GroupbenchError):
    """A store, or another output, that cannot be read or written."""


class HeldBackError(GroupbenchError):
    """A strategy reached for the test split."""


class UnavailableError(GroupbenchError):
    """What a runner needs is not here, which is nobody's failure: its row is skipped.

    Raised by `groupbench.service.Service.start`. What `Runner.availability` can tell without asking
    anybody, it tells.
    """


class IncompatibleError(GroupbenchError):
    """A strategy, a runner and a task that do not go together, as it turns out: a row is skipped.

    Raised by strategies that need what a runner does not give of every task, such as probabilities
    of labels. What nobody can mend is no failure.
    """


class NothingToRunError(GroupbenchError):
    """Nothing was selected to run, or everything was skipped."""

    exit_code = 5


class PolicyError(GroupbenchError):
    """A policy (data egress, a limit) refused the run or stopped it."""

    exit_code = 6


class Diverged(Exception):  # noqa: N818 - a verdict about a fit, not an error of the program
    """A fit's training failed: NaN, or a loss that never left the prior.

    Raised by runners. The engine tries again with a seed derived from the fit's key; ``at_prior``
    is believed when it comes back, since there are tasks in which nothing is to be learned.
    """

    def __init__(self, reason: str, *, at_prior: bool = False) -> None:
        super().__init__(reason)
        self.at_prior = at_prior
