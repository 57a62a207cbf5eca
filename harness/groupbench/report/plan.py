"""What a run would compute, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from groupbench.report.text import dollars, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def plan_table(document: Mapping[str, Any]) -> Text:
    """Return a ``plan`` document as text."""
    fits = document["fits"]
    missing = fits["distinct"] - fits["cached"]
    lines = [
        f"Fits to compute: {missing} of {fits['distinct']} distinct ({fits['cached']} stored). "
        f"Without sharing it would be {fits['naive']}.",
        f"Training examples to see, repeats included: {document['example_steps']:,}.",
    ]
    seconds = document["seconds"]
    if seconds is not None:
        lines.append(f"About {seconds / 60:.1f} minutes of one process, judged by stored fits.")
    elif missing:
        lines.append("How long that takes is not known: no fit of these runners is stored.")
    for row in document["estimates"]:
        lines += _estimate(row, document["max_usd"])
    if any(row["available"] and row["place"] != "local" for row in document["estimates"]):
        lines += _sums(document)
    if document["undecided"]:
        lines.append(
            f"Not decided yet, counted as groups of one: {', '.join(document['undecided'])}."
        )
    for row in (*document["refused"], *document["skipped"], *document["failed"]):
        which = "/".join(filter(None, [row["grouping"], row["runner"]]))
        lines.append(f"{row['status']}: {which}: {row['reason']}")
    return Text("\n".join(map(plain, lines)))


def _estimate(row: Mapping[str, Any], limit: float | None) -> Iterator[str]:
    """Yield what one runner would send."""
    fits = f"{row['fits']} fit{'' if row['fits'] == 1 else 's'}"
    also = "" if row["available"] else ", which cannot run here,"
    if row["problem"] is not None:
        what = f"asks a model ({fits}); how much is not known"
        yield f"{row['runner']}{also} {what}: {row['problem']}"
        return
    n_stored, n = row["stored_answers"], f"{row['examples']:,}"
    stored = f" ({n_stored:,} of {n} already answered, free)" if n_stored else ""
    yield (
        f"{row['runner']}{also} would ask about {n} examples{stored} in {fits}:"
        f" {row['tokens_in']:,} tokens in and {row['tokens_out']:,} out, at most"
        f" {row['tokens_in_worst']:,} and {row['tokens_out_worst']:,}; {_usd(row, limit)}."
    )
    yield (
        f"  Estimated from {row['prompts_built']:,} of its prompts; tokens by {row['counted_by']}."
    )
    usd = row["usd_worst"]
    if not row["available"] and limit is not None and usd is not None and usd > limit:
        yield f"  max_usd = {limit} would not be enough for it at worst."


def _usd(row: Mapping[str, Any], limit: float | None) -> str:
    if row["usd"] is not None:
        return f"about {dollars(row['usd'])}, at most {dollars(row['usd_worst'])}"
    if row["usd_per_hour"] is not None:
        uncounted = ", which max_usd does not count" if limit is not None else ""
        return f"{dollars(row['usd_per_hour'])} an hour{uncounted}"
    return "nobody bills tokens" if row["place"] == "local" else "its price is not known"


def _sums(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what all would cost, and whether the limit allows it."""
    usd, worst, limit = document["usd"], document["usd_worst"], document["max_usd"]
    if usd is None:
        billed = [row for row in document["estimates"] if row["available"] and row["usd"] is None]
        if any(row["problem"] is not None and row["place"] != "local" for row in billed):
            yield "What all of it costs is not known: see above."
            return
        yield (
            "What all of it costs is not known: give the missing prices in a file of --prices"
            + (", without which max_usd cannot be held." if limit is not None else ".")
        )
        return
    yield (f"Billed in all: about {dollars(usd)}, at most {dollars(worst)}, retries not counted.")
    if limit is None or worst <= limit:
        return
    if usd > limit:
        yield (
            f"max_usd = {limit} is below that: the run would stop before it is done, with what was"
            " answered stored."
        )
    else:
        yield f"max_usd = {limit} is below the most that it may be: the run may stop early."
