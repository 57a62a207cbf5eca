"""``groupbench store``: integrity and size of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import json_option, store_option

if TYPE_CHECKING:
    from groupbench.store.check import CheckReport
    from groupbench.store.gc import GcReport

EXIT_DAMAGED = 4

location_argument = click.argument("location", required=False, metavar="[DIR]")


@click.group()
def store() -> None:
    """Check and clean the store of fits, decisions and entries."""


@store.command()
@location_argument
@store_option
@json_option
@common_options
def check(*, location: str | None, store: str, as_json: bool) -> None:
    """Read every byte; move damaged records to the quarantine, deleting nothing.

    Ends with exit code 4 if something was damaged: the next run makes it again.
    """
    from groupbench.cli.console import print_json
    from groupbench.store import Store
    from groupbench.store.check import check_store

    report = check_store(Store.open(location or store, create=False))
    print_json(report.to_json()) if as_json else _echo_check(report)
    if report.damaged:
        raise SystemExit(EXIT_DAMAGED)


@store.command()
@location_argument
@store_option
@click.option(
    "--older-than",
    "hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="HOURS",
    help="Youngest age of a draft that a killed run left.",
)
@click.option("--weights", is_flag=True, help="Remove kept weights as well.")
@click.option("--quarantined", is_flag=True, help="Remove what checks set aside as well.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
@common_options
def gc(
    *,
    location: str | None,
    store: str,
    hours: float,
    weights: bool,
    quarantined: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove what nothing needs: drafts of killed runs, locks of the dead; show what remains."""
    from groupbench.cli.console import print_json
    from groupbench.store import Store
    from groupbench.store.gc import collect

    report = collect(
        Store.open(location or store, create=False),
        older_than_seconds=hours * 3600,
        weights=weights,
        quarantined=quarantined,
        dry_run=dry_run,
    )
    print_json(report.to_json()) if as_json else _echo_gc(report)


def _echo_check(report: CheckReport) -> None:
    from groupbench.report.text import plain

    click.echo(
        f"{report.store}: {_count(report.n_records, 'record')} with "
        f"{_count(report.n_files, 'file')}, {_size(report.n_bytes)}, all as written."
    )
    if report.n_drafts:
        click.echo(f"{_count(report.n_drafts, 'draft')}: being written, or left by a killed run.")
    for note in report.notes:
        click.echo(plain(f"note: {note}"))
    for damage in report.damaged:
        done = f"moved to {damage.moved_to}" if damage.moved_to else "the store is read-only"
        click.echo(plain(f"damaged: {damage.kind} {damage.key}: {damage.reason}; {done}"))


def _echo_gc(report: GcReport) -> None:
    verb = "would remove" if report.dry_run else "removed"
    removed = [
        _count(report.orphans, "orphaned draft"),
        _count(report.locks, "stale lock"),
        *([_count(report.weights, "set") + " of weights"] if report.weights else []),
        *([_count(report.quarantined, "quarantined record")] if report.quarantined else []),
    ]
    click.echo(f"{report.store}: {verb} {', '.join(removed)}: {_size(report.freed_bytes)}.")
    if report.living:
        click.echo(f"{_count(report.living, 'draft')} left alone: in use, or too young.")
    for kind, (n_records, size) in report.remaining.items():
        click.echo(f"{kind:<13}{_count(n_records, 'record'):>14}{_size(size):>12}")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:  # noqa: PLR2004 - decimal units
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"
