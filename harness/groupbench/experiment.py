"""Experiment files: what to run, as data."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from groupbench.errors import ExperimentError
from groupbench.settings import Spec
from groupbench.task import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = "groupbench/experiment/1"

MOST_SEED = 2**32 - 1
"""The largest seed that every library takes."""

COMMAND_LINE = "the command line"
"""The source of an experiment that no file is."""


@dataclass(frozen=True, slots=True)
class RunnerChoice:
    """A runner, and the groupings it is combined with."""

    spec: Spec
    groupings: tuple[str, ...] | None = None
    """Names or specs of the experiment's groupings; ``None``: all of them."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Rows kept of each task, stratified and seeded; ``None``: all."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


@dataclass(frozen=True, slots=True)
class ExperimentLimits:
    """When to stop, and what one fit may take. ``None``: no limit."""

    max_usd: float | None = None
    max_hours: float | None = None
    fit_minutes: float | None = None
    fit_memory_gb: float | None = None


@dataclass(frozen=True, slots=True)
class Allow:
    """A pair of task and runner that may meet although the task's data class forbids it."""

    task: str
    runner: str
    reason: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """What an experiment file, or the command line, asks for."""

    suite: str | None = None
    tasks: tuple[str, ...] = ()
    name: str = "chosen"
    """What the suite of ``tasks`` is called."""
    tasks_dirs: tuple[str, ...] = ()
    groupings: tuple[Spec, ...] = ()
    runners: tuple[RunnerChoice, ...] = ()
    seeds: tuple[int, ...] = (0,)
    baseline: str = "single"
    limits: ExperimentLimits = field(default_factory=ExperimentLimits)
    caps: Caps = field(default_factory=Caps)
    allow: tuple[Allow, ...] = ()
    executor: str = "local"
    prices: str | None = None
    """A file of prices, laid over those that come along."""
    source: str = COMMAND_LINE
    """The file, for messages."""
    overridden: tuple[str, ...] = field(default=(), compare=False)
    """Fields that the command line gave instead of the file."""

    def __post_init__(self) -> None:
        if self.suite is not None and self.tasks:
            raise ExperimentError(f"{self.where('suite')}: give either suite or tasks, not both.")
        if not NAME.fullmatch(self.name):
            raise ExperimentError(
                f"{self.where('name')}: name = {self.name!r} must match {NAME.pattern}."
            )
        if not self.seeds:
            raise ExperimentError(
                f"{self.where('seeds')}: seeds is empty; give at least one, e.g. [0]."
            )
        if max(self.seeds) > MOST_SEED:
            raise ExperimentError(
                f"{self.where('seeds')}: seeds = {list(self.seeds)}: {max(self.seeds)} is above"
                f" {MOST_SEED}, the largest that libraries take."
            )
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ExperimentError(
                f"{self.where('seeds')}: seeds = {list(self.seeds)} must be distinct and not"
                " negative."
            )
        for name in ("train", "validation", "test"):
            rows = getattr(self.caps, name)
            if rows is not None and rows < 2:  # noqa: PLR2004 - one row cannot be divided
                raise ExperimentError(
                    f"{self.where('caps')}: caps.{name} = {rows} must be at least 2."
                )
        for name in ("max_usd", "max_hours", "fit_minutes", "fit_memory_gb"):
            limit = getattr(self.limits, name)
            if limit is None:
                continue
            if not 0 <= limit < math.inf:  # nan is not either
                raise ExperimentError(
                    f"{self.where('limits')}: limits.{name} = {limit} is no amount; give one of 0"
                    " or more, or leave it out for no limit."
                )
            if limit == 0 and name.startswith("fit_"):
                raise ExperimentError(
                    f"{self.where('limits')}: limits.{name} = 0 would kill every fit; give more, or"
                    " leave it out for no limit."
                )

    def by_options(self, name: str) -> bool:
        """Return whether a field was given on the command line, not by a file."""
        return self.source == COMMAND_LINE or name in self.overridden

    def where(self, name: str) -> str:
        """Return the file that gave a field, or `COMMAND_LINE`."""
        return COMMAND_LINE if self.by_options(name) else self.source


def load_experiment(path: Path) -> Experiment:
    """Read an experiment file.

    Paths in it (``tasks_dirs``, ``prices``) are relative to the file.

    Raises:
        ExperimentError: it cannot be read, holds an unknown key, or a value of the wrong type.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ExperimentError(f"{path}: cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError as problem:
        raise ExperimentError(f"{path}: not UTF-8 at byte {problem.start}.") from None
    except tomllib.TOMLDecodeError as problem:
        raise ExperimentError(f"{path}: not valid TOML: {problem}.") from None
    schema = document.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise ExperimentError(
            f"{path}: schema = {schema!r} is not {SCHEMA!r}, the one this version reads."
        )
    where = str(path)
    known = {"grouping", "runner", "suite", "tasks", "name", "tasks_dirs", "seeds", "baseline"}
    _check_keys(where, document, known | {"limits", "caps", "allow", "executor", "prices"})
    prices = _get(where, document, "prices", str, None)
    return Experiment(
        suite=_get(where, document, "suite", str, None),
        tasks=_texts(where, document, "tasks"),
        name=_get(where, document, "name", str, "chosen"),
        tasks_dirs=tuple(
            str((path.parent / folder).resolve())
            for folder in _texts(where, document, "tasks_dirs")
        ),
        groupings=tuple(
            _spec(where, "grouping", table) for table in _tables(where, document, "grouping")
        ),
        runners=tuple(_runner(where, table) for table in _tables(where, document, "runner")),
        seeds=_integers(where, document, "seeds", (0,)),
        baseline=_get(where, document, "baseline", str, "single"),
        limits=_record(where, "limits", document, ExperimentLimits),
        caps=_record(where, "caps", document, Caps),
        allow=tuple(_allow(where, table) for table in _tables(where, document, "allow")),
        executor=_get(where, document, "executor", str, "local"),
        prices=None if prices is None else str((path.parent / prices).resolve()),
        source=where,
    )


def _check_keys(where: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            mend = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(sorted(known))}."
            raise ExperimentError(f"{where}: unknown key '{key}'. {mend}")


def _get(where: str, table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:  # noqa: ANN401 - TOML
    value = table.get(key, default)
    if value is not default and not isinstance(value, kind):
        raise ExperimentError(f"{where}: {key} = {value!r} must be a {kind.__name__}.")
    return value


def _texts(where: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ExperimentError(f"{where}: {key} = {value!r} must be a list of texts.")
    return tuple(value)


def _integers(
    where: str, table: Mapping[str, Any], key: str, default: tuple[int, ...]
) -> tuple[int, ...]:
    value = table.get(key, list(default))
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise ExperimentError(f"{where}: {key} = {value!r} must be a list of whole numbers.")
    return tuple(value)


def _tables(where: str, document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ExperimentError(f"{where}: write each {key} as a table of its own: [[{key}]].")
    return value


def _spec(where: str, what: str, table: Mapping[str, Any]) -> Spec:
    name = table.get("name")
    if not isinstance(name, str):
        raise ExperimentError(f"{where}: a [[{what}]] has no name (got {name!r}).")
    return Spec(name, {key: value for key, value in table.items() if key != "name"})


def _runner(where: str, table: Mapping[str, Any]) -> RunnerChoice:
    groupings = _texts(where, table, "groupings") if "groupings" in table else None
    rest = {key: value for key, value in table.items() if key != "groupings"}
    return RunnerChoice(_spec(where, "runner", rest), groupings)


def _record(where: str, key: str, document: Mapping[str, Any], cls: type[Any]) -> Any:  # noqa: ANN401 - an instance of cls
    import msgspec

    table = document.get(key, {})
    if not isinstance(table, dict):
        raise ExperimentError(f"{where}: [{key}] must be a table.")
    _check_keys(f"{where}: [{key}]", table, {f.name for f in fields(cls)})
    try:
        return msgspec.convert(table, type=cls)
    except msgspec.ValidationError as problem:
        said, _, place = str(problem).partition(" - at `$.")
        name = place.removesuffix("`")
        wanted = "a whole number" if "int" in said else "a number"
        raise ExperimentError(
            f"{where}: [{key}] {name} = {table.get(name)!r} must be {wanted}."
        ) from None


def _allow(where: str, table: Mapping[str, Any]) -> Allow:
    _check_keys(f"{where}: [[allow]]", table, {"task", "runner", "reason"})
    values = [table.get(key) for key in ("task", "runner", "reason")]
    if not all(isinstance(value, str) and value for value in values):
        raise ExperimentError(f"{where}: an [[allow]] needs task, runner and reason as texts.")
    return Allow(*values)  # type: ignore[arg-type] # just checked
