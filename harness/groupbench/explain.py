"""What a cell's key is made of, and which part of it changed since the nearest stored fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from groupbench.errors import GroupbenchError, UnknownNameError

if TYPE_CHECKING:
    from groupbench.keys import FitOrder
    from groupbench.run import Run
    from groupbench.store import Record, Store

SCHEMA = "groupbench/explain/1"


@dataclass(frozen=True)
class Explanation:
    """One fit of a cell: its key, what that is made of, and what changed."""

    label: str
    key: str
    stored: bool
    ingredients: Mapping[str, Any]
    serves: tuple[str, ...]
    nearest: str | None = None
    """Where the fit is not stored: the key of the stored fit that differs least."""
    changed: tuple[str, ...] = field(default=())
    """Each part that differs from the nearest one, with both values."""


def explain(run: Run, cell: str) -> list[Explanation]:
    """Return the fits of a cell.

    Args:
        run: of the experiment that has it.
        cell: ``grouping/runner/seed``, of a runner without a grouping ``runner/seed``, which may
            be written ``-/runner/seed``; or the prefix of a key.

    Raises:
        GroupbenchError: no such cell, or its grouping is not decided yet.
    """
    chosen = _of_cell(run, cell.removeprefix("-/")) if "/" in cell else _of_key(run, cell)
    return [_explain(run, order, serves) for order, serves in chosen]


def _of_cell(run: Run, cell: str) -> list[tuple[FitOrder, tuple[str, ...]]]:
    names = []
    for combination in run.combinations():
        label = combination.label
        prefix = "/".join([*([label] if label else []), combination.identity.label, ""])
        seeds = run.benches[combination.identity.label].seeds
        names += [f"{prefix}{seed}" for seed in seeds]
        if not cell.startswith(prefix) or cell not in names:
            continue
        bench = run.benches[combination.identity.label]
        if combination.strategy is not None:
            for draw in combination.strategy.draws:
                lacking = [
                    order.label
                    for order in bench.orders(bench.plan(draw).fits)
                    if run.scheduler.stored(order) is None
                ]
                if lacking:
                    raise GroupbenchError(
                        f"{label} is not decided yet: {len(lacking)} fits that it needs are not "
                        f"stored, {lacking[0]} for one. Run the experiment first."
                    )
            combination.groupings = tuple(
                bench.propose(draw) for draw in combination.strategy.draws
            )
        found: dict[str, tuple[FitOrder, list[str]]] = {}
        for seed, _, serving in combination.cells():
            if f"{prefix}{seed}" == cell:
                for task, order in serving.items():
                    found.setdefault(order.key, (order, []))[1].append(task)
        return [(order, tuple(sorted(tasks))) for order, tasks in found.values()]
    raise UnknownNameError("cell", cell, names)


def _of_key(run: Run, prefix: str) -> list[tuple[FitOrder, tuple[str, ...]]]:
    found: dict[str, tuple[FitOrder, tuple[str, ...]]] = {}
    for combination in run.combinations():
        bench = run.benches[combination.identity.label]
        orders: list[FitOrder] = []
        if combination.strategy is not None:
            for draw in combination.strategy.draws:
                evidence = bench.orders(bench.plan(draw).fits)
                orders += evidence
                if all(run.scheduler.stored(order) is not None for order in evidence):
                    combination.groupings = (*combination.groupings, bench.propose(draw))
        if combination.strategy is None or combination.groupings:
            orders += [o for _, _, serving in combination.cells() for o in serving.values()]
        for order in orders:
            if order.key.startswith(prefix):
                found[order.key] = (order, order.group.trains)
    if not found:
        raise GroupbenchError(
            f"No fit of this experiment has a key that begins with '{prefix}'; "
            f"name the cell as grouping/runner/seed, or runner/seed where there is no grouping."
        )
    return list(found.values())


def _explain(run: Run, order: FitOrder, serves: tuple[str, ...]) -> Explanation:
    stored = run.scheduler.stored(order) is not None
    nearest = None if stored else _nearest(run.store, order)
    changed: tuple[str, ...] = ()
    if nearest is not None:
        changed = tuple(differences(nearest.meta["ingredients"], order.ingredients))
    return Explanation(
        label=order.label,
        key=order.key,
        stored=stored,
        ingredients=order.ingredients,
        serves=serves,
        nearest=nearest.key if nearest is not None else None,
        changed=changed,
    )


def _nearest(store: Store, order: FitOrder) -> Record | None:
    """Return the stored fit of the same runner whose ingredients differ least."""
    best: tuple[tuple[int, int], Record] | None = None
    for record in store.records("fits"):
        ingredients = record.meta.get("ingredients")
        if not isinstance(ingredients, dict) or ingredients.get("runner") != order.runner.name:
            continue
        names = set(ingredients["tasks"]) ^ set(order.ingredients["tasks"])  # type: ignore[arg-type] # a mapping
        distance = (len(names), len(list(differences(ingredients, order.ingredients))))
        if best is None or distance < best[0]:
            best = (distance, record)
    return best[1] if best is not None else None


def differences(old: Any, new: Any, path: str = "") -> list[str]:  # noqa: ANN401 - JSON
    """Return a line for each place where two JSON values differ.

    >>> differences({"seed": 0, "settings": {"lr": 1}}, {"seed": 1, "settings": {"lr": 1}})
    ['seed: 0 -> 1']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            line
            for key in sorted({*old, *new})
            for line in differences(
                old.get(key), new.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        same = list(old) == list(new)
    else:
        same = old == new
    return [] if same else [f"{path}: {_short(old)} -> {_short(new)}"]


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "..."  # noqa: PLR2004 - a key's length
