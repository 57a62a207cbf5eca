"""What a benchmark found: kept as JSON, shown as one Markdown page of all benchmarks."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _machine import Machine

HERE = Path(__file__).parent
SCHEMA = "groupbench/benchmark/1"
PAGE_HEAD = """# Benchmarks

Written by the programs in `benchmarks/`; docs/benchmarks.md says how to read it. Beside each table
`results/` holds every single measurement as JSON.
"""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that was set beforehand, and the figure that must keep it."""

    text: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None
    spread: str = ""
    """The figure with its quartiles; empty: the figure alone."""

    @property
    def met(self) -> bool:
        """Whether the figure keeps the bound."""
        above = self.at_least is None or self.measured >= self.at_least
        return above and (self.at_most is None or self.measured <= self.at_most)

    def line(self) -> str:
        """Return it as a line of a list."""
        said = "met" if self.met else "**missed**"
        return f"- {said}: {self.text}: {self.spread or f'{self.measured:.2f}'}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return it in Markdown, its caption above."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join([f"{self.caption}:", "", *(f"| {' | '.join(row)} |" for row in lines)])


@dataclass(frozen=True, slots=True)
class Report:
    """All that one benchmark has to say."""

    name: str
    title: str
    compares: str
    """What is compared with what, in a few sentences."""
    machine: Machine
    tables: tuple[Table, ...] = ()
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()
    samples: dict[str, Any] = field(default_factory=dict)
    """Every measurement."""
    timed: bool = True
    """Whether a busy machine spoils it."""

    def write(self, out: Path) -> None:
        """Write ``results/<name>.json`` below ``out`` and the page of all that is there."""
        results = out / "results"
        results.mkdir(parents=True, exist_ok=True)
        document = {"schema": SCHEMA, **asdict(self), "markdown": self.markdown()}
        text = json.dumps(document, indent=1) + "\n"
        (results / f"{self.name}.json").write_text(text, encoding="utf-8")
        kept = [json.loads(f.read_text(encoding="utf-8")) for f in sorted(results.glob("*.json"))]
        page = "\n".join([PAGE_HEAD, *(found["markdown"] for found in kept)])
        (out / "results.md").write_text(page, encoding="utf-8")
        print(self.markdown())

    def markdown(self) -> str:
        """Return its section of the page."""
        on = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in on.versions.items())
        parts = [
            f"## {self.title}",
            self.compares,
            f"{on.date}, {on.processor}, {on.n_cores} cores, commit {on.commit}; Python "
            f"{on.python}, {versions}.",
        ]
        if on.busy and self.timed:
            parts.append(
                f"**The machine was busy with other things** ({on.cores_in_use:.1f} of "
                f"{on.n_cores} cores before it began): ratios can be trusted, seconds cannot."
            )
        parts += [table.markdown() for table in self.tables]
        if self.goals:
            parts.append("\n".join(["Goals:", "", *(goal.line() for goal in self.goals)]))
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts) + "\n"


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows where results go."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--out",
        type=Path,
        default=HERE,
        metavar="DIR",
        help="where results/NAME.json and results.md are written (default: beside this program)",
    )
    return made
