"""Every check of everything that installed plugins offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.errors import GroupbenchError, UnknownNameError
from groupbench.settings import Spec
from groupbench.testing.checks import CheckResult, check_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench.plugins import Plugins
    from groupbench.plugins.index import Offering, Record

UNCHECKED = ("suites", "executors", "loaders")
"""Kinds without checks of their own: that they can be made is all that is looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check of one thing."""

    plugin: str
    kind: str
    """``plugins`` where it is about the plugin as a whole; else as listings call it."""
    thing: str
    """Its spec."""
    result: CheckResult


def check_plugins(
    plugins: Plugins, names: Sequence[str] = (), specs: Sequence[str] = ()
) -> Iterator[Finding]:
    """Yield what came of every check of the plugins ``names``; of all if none is named.

    Args:
        plugins: the installed ones.
        names: ``plugin``, ``dist`` or ``dist/plugin``.
        specs: configurations of strategies and runners to check instead of the default ones.

    Raises:
        UnknownNameError: a name means no plugin, or a spec nothing that these plugins offer.
        SettingError: a spec has a setting that cannot be.
    """
    records = _named(plugins, names)
    wanted = [Spec.parse(text) for text in specs]
    offered = {name for record in records for name in _offered(plugins, record)}
    for spec in wanted:
        if spec.name not in offered:
            raise UnknownNameError("strategy or runner of these plugins", spec.name, offered)
    for record in records:
        yield from _check_plugin(plugins, record, wanted)


def _named(plugins: Plugins, names: Sequence[str]) -> list[Record]:
    for name in names:
        if not any(record.source.called(name) for record in plugins.records):
            known = [record.source.plugin for record in plugins.records]
            raise UnknownNameError("plugin", name, known)
    return [
        record
        for record in plugins.records
        if not names or any(record.source.called(name) for name in names)
    ]


def _offered(plugins: Plugins, record: Record) -> Mapping[str, Offering]:
    """Return the configurable things of one plugin, by the name that finds them."""
    return {
        name: offering
        for kind in ("groupings", "runners")
        for name, offering in plugins.offered(kind).items()
        if offering.source == record.source
    }


def _check_plugin(plugins: Plugins, record: Record, specs: Sequence[Spec]) -> Iterator[Finding]:
    plugin = record.source.plugin
    for problem in record.problems:
        broken = CheckResult("check_can_be_used", "fail", problem)
        yield Finding(plugin, "plugins", plugin, broken)
    if not record.problems:
        yield Finding(plugin, "plugins", plugin, CheckResult("check_can_be_used", "pass"))
    for kind in ("groupings", "runners", "metrics", "tasks", *UNCHECKED):
        for name, offering in plugins.offered(kind).items():
            if offering.source != record.source or offering.suite is not None:
                continue
            chosen = [spec for spec in specs if spec.name == name and kind != "metrics"]
            for spec in chosen or [Spec(name)]:
                yield from _check_thing(plugins, offering, spec)


def _check_thing(plugins: Plugins, offering: Offering, spec: Spec) -> Iterator[Finding]:
    plugin, kind = offering.source.plugin, offering.kind
    thing = spec.name

    def found(result: CheckResult) -> Finding:
        return Finding(plugin, kind, thing, result)

    if loader := offering.facts.get("loader"):
        why = f"its data come from elsewhere (loader {loader}): groupbench tasks show {thing}"
        yield found(CheckResult("check_task", "skip", why))
        return
    try:
        made = _made(plugins, kind, spec)
    except GroupbenchError as problem:
        if spec.settings:
            raise
        needs = [setting["name"] for setting in offering.settings if setting["default"] is None]
        status = "skip" if needs else "fail"
        hint = f" Check one with --spec {thing}:{needs[0]}=..." if needs else ""
        yield found(CheckResult("check_has_defaults", status, f"{problem}{hint}"))
        return
    if kind in UNCHECKED:
        yield found(CheckResult("check_has_defaults", "pass"))
        return
    if kind != "metrics" and spec.settings:
        from groupbench.settings import label

        thing = label(made)
    if kind == "metrics" and hasattr(made, "resolve"):
        why = "a family of metrics: its members are made when a card names them"
        yield found(CheckResult("check_metric", "skip", why))
        return
    for result in check_results(made):
        yield found(result)


def _made(plugins: Plugins, kind: str, spec: Spec) -> Any:  # noqa: ANN401 - whatever is offered
    """Return an instance of what is offered."""
    configured = {
        "groupings": plugins.grouping,
        "runners": plugins.runner,
        "suites": plugins.suite,
        "executors": plugins.executor,
    }
    if kind in configured:
        return configured[kind](spec)
    return plugins.task(spec.name) if kind == "tasks" else plugins.class_of(kind, spec.name)
