"""Progress of a run on standard error: live on a terminal, else one line per finished fit."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from groupbench.report.text import duration, plain, sentence

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


class Progress(Protocol):
    """What the scheduler tells of its work. Methods never raise, whatever becomes of the output."""

    def planned(self, n_fits: int, n_cached: int) -> None:
        """Hear that more fits are to be computed, and how many were found in the store."""
        ...

    def started(self, label: str) -> None:
        """Hear that a fit began."""
        ...

    def finished(self, label: str, seconds: float, status: str, message: str = "") -> None:
        """Hear that a fit ended: ``status`` is ``ok`` or ``failed``, and why."""
        ...

    def cached(self, label: str) -> None:
        """Hear that a planned fit was found in the store after all: another process made it."""
        ...

    def note(self, text: str) -> None:
        """Hear something that people should know now."""
        ...

    def close(self) -> None:
        """Hear that nothing more comes. Safe to call twice."""
        ...


@dataclass(eq=False)
class NullProgress:
    """Says nothing."""

    def planned(self, n_fits: int, n_cached: int) -> None: ...

    def started(self, label: str) -> None: ...

    def finished(self, label: str, seconds: float, status: str, message: str = "") -> None: ...

    def cached(self, label: str) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


@dataclass(eq=False)
class _Count:
    """How far the work is. Plans add up: a run plans more than once."""

    n_planned: int = 0
    n_cached: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def n_done(self) -> int:
        return sum(self.ended.values())

    def left(self) -> float | None:
        """Return about how many seconds are left, by the pace so far; ``None``: too early."""
        computed = self.n_done - self.ended["cached"]
        if not computed or self.n_done >= self.n_planned:
            return None
        elapsed = time.monotonic() - self.began
        return elapsed / self.n_done * (self.n_planned - self.n_done)

    def summary(self) -> str:
        parts = [f"{self.n_done}/{self.n_planned} fits"]
        if self.n_cached or self.ended["cached"]:
            parts.append(f"{self.n_cached + self.ended['cached']} from the store")
        if self.ended["failed"]:
            parts.append(f"{self.ended['failed']} failed")
        left = self.left()
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)


@dataclass(eq=False)
class PlainProgress:
    """One line per finished fit: what a log file can hold."""

    stream: TextIO | None = None
    """``None``: standard error, looked up when a line is written."""
    _count: _Count = field(default_factory=_Count)

    def planned(self, n_fits: int, n_cached: int) -> None:
        self._count.n_planned += n_fits
        self._count.n_cached += n_cached
        if n_fits:
            fits = "fit" if n_fits == 1 else "fits"
            self._say(f"{n_fits} {fits} to compute, {n_cached} from the store")

    def started(self, label: str) -> None: ...

    def finished(self, label: str, seconds: float, status: str, message: str = "") -> None:
        self._count.ended[status] += 1
        self._say(_ended(self._count, label, seconds, status, message))

    def cached(self, label: str) -> None:
        self._count.ended["cached"] += 1
        self._say(f"[{self._count.n_done}/{self._count.n_planned}] {plain(label)}: stored already")

    def note(self, text: str) -> None:
        self._say(sentence(text))

    def close(self) -> None: ...

    def _say(self, line: str) -> None:
        stream = self.stream or sys.stderr
        try:
            encoding = getattr(stream, "encoding", None) or "utf-8"
            stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            stream.flush()
        except (OSError, ValueError):
            # The reader went away; the run is worth more than its log.
            return


@dataclass(eq=False)
class TerminalProgress:
    """A live line for what runs and how far it is; failures and notes scroll above it."""

    console: Console
    """On standard error."""
    max_running: int = 4
    """Running fits that are shown by name."""
    _count: _Count = field(default_factory=_Count)
    _running: dict[str, float] = field(default_factory=dict)
    _live: Live | None = None

    def planned(self, n_fits: int, n_cached: int) -> None:
        self._count.n_planned += n_fits
        self._count.n_cached += n_cached
        if n_fits and self._live is None:
            from rich.live import Live

            self._live = Live(
                get_renderable=self.render,
                console=self.console,
                transient=True,
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def started(self, label: str) -> None:
        self._running[label] = time.monotonic()

    def finished(self, label: str, seconds: float, status: str, message: str = "") -> None:
        self._running.pop(label, None)
        self._count.ended[status] += 1
        if status != "ok":
            self._print(_ended(self._count, label, seconds, status, message))
        self._settle()

    def cached(self, label: str) -> None:
        self._running.pop(label, None)
        self._count.ended["cached"] += 1
        self._settle()

    def note(self, text: str) -> None:
        self._print(sentence(text))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _settle(self) -> None:
        """Take the live line away when all that was planned is done; more may be planned."""
        if self._count.n_done >= self._count.n_planned and not self._running:
            self.close()

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def render(self) -> RenderableType:
        """Return the live lines as they are now."""
        from rich.text import Text

        lines = [self._count.summary()]
        now = time.monotonic()
        for label, began in list(self._running.items())[: self.max_running]:
            lines.append(f"  {plain(label)}  {duration(now - began)}")
        if len(self._running) > self.max_running:
            lines.append(f"  and {len(self._running) - self.max_running} more")
        # One terminal line each, whatever the width: a line that wraps leaves remains behind.
        width = max(self.console.width - 1, 1)
        shown = []
        for line in lines:
            text = Text(line)
            text.truncate(width, overflow="ellipsis")
            shown.append(text)
        return Text("\n").join(shown)


def progress_for(console: Console, *, quiet: bool = False) -> Progress:
    """Return the progress that fits ``console``, which writes to standard error."""
    if quiet:
        return NullProgress()
    if console.is_terminal and not console.is_dumb_terminal:
        return TerminalProgress(console)
    return PlainProgress()


def _ended(count: _Count, label: str, seconds: float, status: str, message: str) -> str:
    line = f"[{count.n_done}/{count.n_planned}] {plain(label)}: {plain(status)}"
    line += f" after {duration(seconds)}"
    left = count.left()
    if message:
        line += f": {plain(message)}"
    elif left is not None:
        line += f", about {duration(left)} left"
    return line
