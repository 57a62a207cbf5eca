"""The ledger: dollars that a run spent and that no record of a fit holds.

A fit that fails has spent money, and so has a probe. What a run may still spend must be less by
that, though the run itself only hears of fits that end well.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PRIVATE = 0o600


class Ledger:
    """A file that the fits of one run share, in a folder that goes with the run."""

    def __init__(self, path: Path | None) -> None:
        """Take note. ``path``: ``None`` where there is no run: nothing is kept."""
        self.path = path

    def add(self, usd: float, what: str) -> None:
        """Note dollars spent, on ``what``. Lines of several processes do not mix."""
        if self.path is None or not usd:
            return
        line = json.dumps({"usd": usd, "what": what}) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def claim(self, usd: float, most: float | None, what: str) -> bool:
        """Note dollars that may be spent, unless all that is noted would then pass ``most``.

        For fits that spend side by side. What a call cost less is noted afterwards, below 0.
        """
        if self.path is None or most is None:
            return True
        with self.path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.usd() + usd > most:
                return False
            self.add(usd, what)
        return True

    def left(self, most: float | None, claimed: float) -> float | None:
        """Return the dollars that may still be spent; ``None``: as many as one likes.

        Args:
            most: that the run has left, by what it heard of its fits.
            claimed: those dollars of its fits that were claimed here, which count once.
        """
        if most is None:
            return None
        return most if self.path is None else max(0.0, most + claimed - self.usd())

    def usd(self) -> float:
        """Return the dollars noted so far."""
        if self.path is None or not self.path.exists():
            return 0.0
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return float(sum(json.loads(line)["usd"] for line in lines))
