"""Services: what several fits of a run talk to, such as an inference server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Service(Protocol):
    """What several fits of a run talk to, such as an inference server. It lives with the run."""

    key: str
    """What decides it, for people to read: services of equal keys are one."""
    gpus: float
    """GPUs that it holds. While it does, no fit that uses a GPU runs."""

    def start(self, folder: Path) -> Mapping[str, str]:
        """Start it, wait until it answers, and return its address for `FitRequest.service`.

        Called in a thread. ``folder`` takes logs; it is removed when the run ends.

        Afterwards people are shown its ``notes``, a sequence of sentences, if it has any. One that
        is billed for starting has ``max_usd``, set before to the dollars that the run has left; one
        that reads the run's ledger has ``claimed_usd`` as well, as `FitRequest` has it.

        Raises:
            UnavailableError: what it needs is not here; the runner's row is skipped.
            GroupbenchError: it did not start; the message says why, with the end of its log.
        """
        ...

    def alive(self) -> bool:
        """Return whether it still runs."""
        ...

    def stop(self) -> None:
        """Stop it and all that it started. Safe to call twice, and while it starts."""
        ...


class Served(Protocol):
    """A runner whose fits talk to a service."""

    def service(self) -> Service | None:
        """Return the service, not yet started; ``None`` if the settings name one that runs."""
        ...
