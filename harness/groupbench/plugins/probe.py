"""What runs in the indexing process: import plugins one by one and say what they offer.

The process reads ``{"sources": [...]}`` from standard input and writes one JSON line before it
touches a plugin and one when it is done with it, so that whoever started it knows the culprit if it
hangs or dies.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupbench.errors import GroupbenchError, PluginError
from groupbench.plugins.index import Offering, Record, task_facts
from groupbench.plugins.loading import REGISTER_HOOKS, first_line, load_plugin
from groupbench.plugins.sources import Source
from groupbench.settings import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.canonical import Json
    from groupbench.suite import Suite


def main() -> None:
    """Probe the plugins that standard input names."""
    order = json.loads(sys.stdin.read())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what plugins print is not an answer
    for index, source in enumerate(order["sources"]):
        _say(answers, {"begun": index})
        _say(answers, {"done": index, "record": probe(Source(**source)).to_json()})
    sys.stderr.flush()
    os._exit(0)  # threads and exit handlers of plugins are none of our business


def probe(source: Source) -> Record:
    """Import a plugin and return what it offers and what is broken about it."""
    try:
        plugin = load_plugin(source)
    except PluginError as problem:
        return Record.broken(source, str(problem))
    offerings: list[Offering] = []
    problems: list[str] = []
    watched: list[str] = []
    for kind in REGISTER_HOOKS:
        found, flaws = plugin.checked_objects(kind)
        problems += flaws
        for item in found:
            try:
                if isinstance(item, Path):
                    watched.append(str(item))
                    offerings += _cards(source, item, problems)
                else:
                    offerings.append(_offering(source, kind, item))
            except (Exception, SystemExit) as failure:  # noqa: BLE001 - a plugin may raise anything
                name = getattr(item, "name", item)
                problems.append(
                    f"describing {kind.removesuffix('s')} {name} raised {first_line(failure)}"
                )
    return Record(
        source=source,
        summary=plugin.summary,
        offerings=tuple(offerings),
        hooks=tuple(sorted(plugin.implementations)),
        problems=tuple(problems),
        watched=tuple(watched),
    )


def _cards(source: Source, folder: Path, problems: list[str]) -> list[Offering]:
    """Return the tasks of a folder of cards; a bad card is a problem and spares the others."""
    from groupbench.cards.card import load_card
    from groupbench.cards.paths import find_cards

    offerings = []
    for path in find_cards(folder):
        try:
            card = load_card(path)
        except GroupbenchError as problem:
            problems.append(str(problem).removesuffix("."))
            continue
        facts = {**task_facts(card), "card": str(path)}
        summary = card.title or card.description
        offerings.append(Offering("tasks", card.name, summary, source, facts=facts))
    return offerings


def _offering(source: Source, kind: str, item: Any) -> Offering:  # noqa: ANN401 - whatever is registered
    if kind == "tasks":
        return Offering(kind, item.name, item.summary, source, facts=task_facts(item))
    settings: tuple[Mapping[str, Json], ...] = ()
    reason = None
    facts: dict[str, Any] = {}
    if kind != "metrics":
        settings = tuple(
            {"name": s.name, "type": s.type, "default": s.default, "summary": s.summary}
            for s in describe(item)
        )
    if kind in {"runners", "executors"}:
        reason = _availability(item)
    if kind == "runners":
        facts = {"trains": item.trains, "shares": item.shares}
    if kind == "groupings":
        facts = {"oracle": bool(getattr(item, "oracle", False))}
    if kind == "metrics":
        facts = {"kinds": sorted(map(str, getattr(item, "kinds", ())))}
    if kind == "suites":
        suite: Suite = item().build()
        facts = {
            "note": suite.note,
            "tasks": [{"name": t.name, "summary": t.summary, **task_facts(t)} for t in suite],
        }
    return Offering(kind, item.name, item.summary, source, settings, reason, facts)


def _availability(cls: Any) -> str | None:  # noqa: ANN401 - a runner's or executor's class
    """Return why it cannot be used with its default settings."""
    try:
        instance = cls()
    except (TypeError, ValueError, GroupbenchError):
        return None  # it has no default configuration: known when it is configured
    try:
        reason = instance.availability()
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - a plugin may raise anything
        return f"availability() raised {first_line(failure)}"
    return None if reason is None else str(reason)


def _say(answers: Any, document: Mapping[str, Any]) -> None:  # noqa: ANN401 - a text file
    answers.write(json.dumps(document) + "\n")
    answers.flush()
