"""What tokens cost, and until when a model is served: a data file, and the user's laid over it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.llm.usage import Usage

WARN_DAYS = 60
"""A shutdown is warned about from this many days before it."""

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs: its tokens, in US dollars per million, or the hours of a machine."""

    model: str
    """The name of a snapshot."""
    input: float
    output: float
    """Reasoning is output."""
    cached_input: float | None = None
    """Of tokens read from a prompt cache; ``None``: as ``input``."""
    cache_write: float | None = None
    """Of tokens written to one; ``None``: as ``input``."""
    batch: float = 0.5
    """What a batch costs, as a part of the same requests one by one."""
    long_above: int | None = None
    """Prompts of more tokens make the whole request dearer."""
    long_input_times: float = 1.0
    long_output_times: float = 1.0
    aliases: tuple[str, ...] = ()
    """Other names, which the provider may point to another snapshot any day."""
    shutdown: date | None = None
    """The first day without it."""
    successor: str | None = None
    usd_per_hour: float | None = None
    """Of the machine that serves it, while it is asked."""

    def usd(self, usage: Usage, *, batch: bool = False) -> float:
        """Return what ``usage`` of one request costs."""
        read = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        plain = usage.tokens_in - usage.cached - usage.cache_write
        dear = self.long_above is not None and usage.tokens_in > self.long_above
        tokens_in = plain * self.input + usage.cached * read + usage.cache_write * written
        cost = tokens_in * (self.long_input_times if dear else 1.0)
        cost += usage.tokens_out * self.output * (self.long_output_times if dear else 1.0)
        return cost * (self.batch if batch else 1.0) / _MILLION

    def batched(self) -> Price:
        """Return what the same tokens cost in a batch."""

        def part(usd: float | None) -> float | None:
            return None if usd is None else usd * self.batch

        return replace(
            self,
            input=self.input * self.batch,
            output=self.output * self.batch,
            cached_input=part(self.cached_input),
            cache_write=part(self.cache_write),
            batch=1.0,
        )

    def worst_usd(self, tokens_in: int, tokens_out: int) -> float:
        """Return the most that a request of so many tokens can cost, whatever a cache does."""
        dearest = max(self.input, self.cached_input or 0.0, self.cache_write or 0.0)
        times_in, times_out = (
            (max(1.0, self.long_input_times), max(1.0, self.long_output_times))
            if self.long_above is not None and tokens_in > self.long_above
            else (1.0, 1.0)
        )
        cost = tokens_in * dearest * times_in + tokens_out * self.output * times_out
        return cost / _MILLION

    def refusal(self, today: date, announced: date | None = None) -> str | None:
        """Return why the model must not be asked any more; ``None`` while it is served.

        ``announced`` is the day that the provider itself names, which holds against the file's.
        """
        shutdown = announced or self.shutdown
        if shutdown is None or today < shutdown:
            return None
        return f"{self.model} was shut down on {shutdown}: {self._mend()}"

    def warning(self, today: date, announced: date | None = None) -> str | None:
        """Return the warning that the model will soon be gone; ``None`` if not, or gone already."""
        shutdown = announced or self.shutdown
        if shutdown is None or not today < shutdown <= today + timedelta(days=WARN_DAYS):
            return None
        days = (shutdown - today).days
        return f"{self.model} is shut down on {shutdown}, in {days} days: {self._mend()}"

    def _mend(self) -> str:
        return f"use {self.successor}." if self.successor else "choose another model."


@dataclass(frozen=True)
class Prices:
    """Prices by model.

    >>> Prices.load()["gpt-4.1"].model
    'gpt-4.1-2025-04-14'
    """

    as_of: date | None = None
    """When they were looked up."""
    source: str = ""
    models: Mapping[str, Price] = field(default_factory=dict)
    usd_per_hour: float | None = None
    """Of the machine that computes here, for models that have no price of their own."""

    def __getitem__(self, model: str) -> Price:
        """Return the price of a model, found by its name or an alias."""
        if model in self.models:
            return self.models[model]
        for price in self.models.values():
            if model in price.aliases:
                return price
        raise KeyError(model)

    def get(self, model: str) -> Price | None:
        """Return the price of a model; ``None`` where it is not known, which is not 0."""
        try:
            return self[model]
        except KeyError:
            return None

    def here(self, model: str) -> Price | None:
        """Return the price of a model that this machine serves; ``None`` where none is set.

        One without a price of its own costs the hours of the machine.
        """
        found = self.get(model)
        if found is not None or self.usd_per_hour is None:
            return found
        return Price(model, 0.0, 0.0, usd_per_hour=self.usd_per_hour)

    def alias_warning(self, model: str) -> str | None:
        """Return the warning that ``model`` names no snapshot, with the one it should."""
        price = self.get(model)
        if price is None or price.model == model:
            return None
        return f"{model} may be pointed to another model any day: name {price.model}."

    @classmethod
    def load(cls, over: Path | None = None) -> Prices:
        """Return the prices that come with groupbench, with a user's file laid over them.

        A model of the file needs only the fields that differ; a new one ``input`` and ``output``,
        or ``usd_per_hour``.

        Raises:
            SettingError: the file cannot be read, or a field or value is wrong.
        """
        text = files("groupbench.llm").joinpath("prices.toml").read_text(encoding="utf-8")
        prices = _overlaid(cls(), tomllib.loads(text), "prices.toml")
        if over is None:
            return prices
        try:
            document = tomllib.loads(over.read_text(encoding="utf-8"))
        except OSError as problem:
            raise SettingError(f"Prices {over} cannot be read: {problem.strerror}.") from None
        except UnicodeDecodeError as problem:
            raise SettingError(f"Prices {over}: not UTF-8 at byte {problem.start}.") from None
        except tomllib.TOMLDecodeError as problem:
            raise SettingError(f"Prices {over}: not TOML: {problem}.") from None
        return _overlaid(prices, document, str(over))


def _overlaid(prices: Prices, document: Mapping[str, Any], where: str) -> Prices:
    _check_names(document, ("as_of", "source", "usd_per_hour", "models"), where)
    as_of, source = document.get("as_of", prices.as_of), document.get("source", prices.source)
    _check_type(as_of, date, "a date", f"{where}: as_of")
    _check_type(source, str, "a text", f"{where}: source")
    usd_per_hour = document.get("usd_per_hour", prices.usd_per_hour)
    if usd_per_hour is not None:
        _check_number(usd_per_hour, f"{where}: usd_per_hour")
    tables = document.get("models", {})
    _check_type(tables, Mapping, "a table", f"{where}: models")
    models = dict(prices.models)
    for model, table in tables.items():
        models[model] = _price(model, table, models.get(model), f'{where}: models."{model}"')
    return Prices(as_of, source, models, usd_per_hour)


_RATES = ("input", "output", "cached_input", "cache_write", "batch", "usd_per_hour")
_TIMES = ("long_input_times", "long_output_times")


def _price(model: str, table: object, known: Price | None, where: str) -> Price:
    _check_type(table, Mapping, "a table", where)
    assert isinstance(table, Mapping)  # noqa: S101 - for mypy: it was just checked
    _check_names(table, [f.name for f in fields(Price) if f.name != "model"], where)
    values = dict(table)
    for name, value in values.items():
        at = f"{where} {name}"
        if name in (*_RATES, *_TIMES):
            _check_number(value, at)
        elif name == "long_above":
            _check_type(value, int, "a number of tokens", at)
            _check_number(value, at)
        elif name == "shutdown":
            _check_type(value, date, "a date such as 2027-01-14", at)
        elif name == "successor":
            _check_type(value, str, "the name of a model", at)
        elif not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise SettingError(f"{at} = {value!r}: expected a list of names.")
        else:
            values[name] = tuple(value)
    if known is not None:
        return replace(known, **values)
    if "usd_per_hour" in values:
        values = {"input": 0.0, "output": 0.0, **values}
    if missing := [name for name in ("input", "output") if name not in values]:
        raise SettingError(
            f"{where}: {missing[0]} is missing: give US dollars per million tokens, or usd_per_hour"
            " of a machine that serves the model."
        )
    return Price(model, **values)


def _check_names(table: Mapping[str, Any], known: Any, where: str) -> None:  # noqa: ANN401
    for name in table:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            mend = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
            raise SettingError(f"{where}: there is no field '{name}'. {mend}")


def _check_number(value: object, where: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < float("inf"):  # type: ignore[operator] # it is a number
        raise SettingError(f"{where} = {value!r}: expected a number, 0 or above.")


def _check_type(value: object, kind: type, what: str, where: str) -> None:
    # A datetime is a date, and cannot be compared with one.
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool | datetime)):
        raise SettingError(f"{where} = {value!r}: expected {what}.")
