"""What must be said beside a leaderboard: what numbers mean, what did not finish and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from groupbench.cell import Status
from groupbench.report.asked import is_partial
from groupbench.report.lines import NOTHING, ORACLE, WORSE, fraction, names_of
from groupbench.report.text import dollars, duration, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from groupbench.grouping import Grouping
    from groupbench.leaderboard import Leaderboard
    from groupbench.leaderboard.row import Row

Names: TypeAlias = "Mapping[str, str]"
"""How entries are called, by key."""

_NO_REASON = "no reason was given"
_MANY = 8
"""Names that are listed before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to say. ``text`` may hold foreign text."""

    what: str
    text: str


def notes(board: Leaderboard) -> list[Note]:
    """Return what to say, the most important first."""
    names = names_of(board)
    found = [Note("note", board.suite.note)] if board.suite.note else []
    found += _unfinished(board.rows, names)
    scored = [row for row in board.rows if row.scores]
    if scored:
        found += [
            Note("scores", _scores(scored)),
            *_tiers(board),
            *_gains(board),
            _costs(scored, names),
            *_asked(scored),
            Note("metrics", _metrics(board)),
        ]
    for what, said in (
        ("groups", list(_groups(board, names))),
        ("left out", list(_left_out(scored))),
        ("cut inputs", list(_shares(board, scored, names, "input_cut"))),
        ("no answer", list(_shares(board, scored, names, "unanswered"))),
    ):
        if said:
            found.append(Note(what, " ".join(said)))
    return found + [Note("warning", text) for text in _warnings(board.rows, names)]


def _unfinished(rows: Iterable[Row], names: Names) -> list[Note]:
    """Return why entries have no rank: one note for each status and reason."""
    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        name = names[row.entry.key]
        if row.status is Status.PARTIAL:
            by_reason: dict[str, list[str]] = defaultdict(list)
            for each in row.cells:
                if each.status is not Status.OK:
                    where = f"seed {each.cell.seed}"
                    where += f" draw {each.cell.draw}" if row.draws > 1 else ""
                    by_reason[each.reason or _NO_REASON].append(where)
            for reason, cells in by_reason.items():
                same[str(row.status), reason].append(f"{name} ({_listed(cells)})")
        elif row.status is not Status.OK:
            same[str(row.status), row.reason or _NO_REASON].append(name)
    return [
        Note(status, f"{_listed(called)}: {sentence(reason)}")
        for (status, reason), called in same.items()
    ]


def _scores(rows: Iterable[Row]) -> str:
    counts = {len(row.seeds) for row in rows if row.status is Status.OK}
    seeds = f"{max(counts)} seeds" if counts and max(counts) > 1 else "one seed"
    text = f"Fractions, the mean of {seeds}. ± is half of the 95 % interval over test examples"
    if counts == {1}:
        return f"{text} only: one seed says nothing of how training varies."
    text += " and seeds"
    if 1 in counts:
        text += " (of entries with one seed: over test examples only)"
    if any(row.draws > 1 for row in rows):
        text += "; a random grouping is the mean of all its draws"
    return text + "."


def _tiers(board: Leaderboard) -> Iterator[Note]:
    if any(row.tier is not None for row in board.rows):
        text = "Entries of tier 1 are not significantly below the best, and so on down (paired "
        text += "test over test examples and seeds, Holm-corrected, 5 %)."
        if board.resolution is not None:
            points = f"{100 * board.resolution:.1f}"
            text += f" Averages closer than about {points} points cannot be told apart here."
        yield Note("tier", text)
    if any(row.entry.oracle for row in board.rows):
        yield Note(ORACLE, "It knows what was planted: a bound, not a competitor, and not ranked.")


def _gains(board: Leaderboard) -> Iterator[Note]:
    gains = [row.gain for row in board.rows if row.gain is not None]
    if not gains:
        return
    text = f"Points (hundredths) above the grouping {board.baseline} with the same runner."
    if any(gain.tasks[name].significantly_worse for gain in gains for name in gain.tasks):
        text += f" {WORSE} marks a task that is significantly below it: negative transfer."
    yield Note("gain", text)


def _costs(rows: Sequence[Row], names: Names) -> Note:
    text = "Models that serve the suite; computing time of deciding and training, all seeds, "
    text += "shared fits counted wherever they are used."
    decided = [row.entry for row in rows if row.entry.deciding.fits]
    if decided:
        parts = [
            f"{names[e.key]} {e.deciding.fits} fits ({duration(e.deciding.seconds)})"
            for e in decided
        ]
        text += f" Deciding took {_listed(parts)}."
    usd = sum(row.cost_usd for row in rows)
    if usd:
        text += f" All entries cost {dollars(usd)}."
    return Note("costs", text)


def _asked(rows: Iterable[Row]) -> Iterator[Note]:
    """Say what the tables about models that were asked hold."""
    rows = list(rows)
    asked = [row.calls for row in rows if row.calls is not None]
    if asked:
        text = "Of models that were asked, all seeds: tokens of prompts (cached: of those, read"
        text += " from a prompt cache) and answers (thought: of those), dollars paid and for 1,000"
        text += " examples, time to answer (half and 95 % are faster), examples a second, attempts"
        text += f" repeated. {NOTHING} is not known, or does not apply."
        if any(calls.usd_unknown for calls in asked):
            text += " lost: at most so much was billed besides, for replies that never came."
        replayed = sum(calls.replayed or 0 for calls in asked)
        if replayed:
            text += f" {replayed:,} answers were stored before and cost nothing now."
        yield Note("calls", text)
    if any(is_partial(row) for row in rows):
        yield Note(
            "answers",
            "Shares of all test examples. What has no valid answer counts as wrong in every score;"
            " answered is the average among answered examples alone, which are not the same for"
            " all entries.",
        )


def _metrics(board: Leaderboard) -> str:
    by_metric: dict[str, list[str]] = defaultdict(list)
    for task in board.suite.tasks:
        by_metric[task.metric].append(f"{task.name} ({task.n_test})")
    parts = [f"{metric} of {', '.join(names)}" for metric, names in by_metric.items()]
    return "; ".join(parts) + ". In brackets: test examples."


def _groups(board: Leaderboard, names: Names) -> Iterator[str]:
    n_tasks = len(board.suite.tasks)
    same: dict[str, list[str]] = defaultdict(list)
    for row in board.rows:
        groupings = row.entry.groupings
        if row.draws > 1 and groupings:
            same[f"{row.draws} random draws"].append(names[row.entry.key])
        elif len(groupings) == 1:
            shown = describe(groupings[0])
            trivial = all(len(group) in {1, n_tasks} for group in groupings[0])
            if not trivial:
                same[shown].append(names[row.entry.key])
    for shown, called in same.items():
        yield f"{_listed(called)}: {shown}."


def describe(grouping: Grouping) -> str:
    """Return a grouping as text; a group that does not serve all it trains says what it serves."""
    parts = []
    for group in grouping:
        text = ", ".join(group.trains)
        if group.serves != group.trains:
            text += f" -> {', '.join(group.serves)}"
        parts.append("{" + text + "}")
    return " ".join(parts)


def _left_out(rows: Iterable[Row]) -> Iterator[str]:
    most: dict[str, int] = {}
    for row in rows:
        for cell in row.finished:
            for task, n in cell.left_out.items():
                if n:
                    most[task] = max(n, most.get(task, 0))
    if most:
        parts = [f"{n} of {task}" for task, n in sorted(most.items())]
        yield (
            f"Train rows kept out of joint models because their text is in another task's test "
            f"set: at most {_listed(parts)}."
        )


def _shares(board: Leaderboard, rows: Iterable[Row], names: Names, kind: str) -> Iterator[str]:
    """Yield which shares of a task's inputs were cut, or of its examples got no valid answer."""
    for task in board.suite.names:
        same: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            score = row.scores[task]
            if kind == "input_cut":
                shown = _percent({"": score.input_cut})
            else:
                rates = {k: v for k, v in score.outcome_rates.items() if k != "ok"}
                shown = _percent(rates)
                if shown and score.score_answered is not None:
                    shown += f", {fraction(score.score_answered)} of the answered"
            if shown:
                same[shown].append(names[row.entry.key])
        for shown, called in same.items():
            yield f"{task}: {shown} ({_listed(called)})."


def _percent(rates: Mapping[str, float]) -> str:
    parts = [f"{name} {100 * rate:.1f} %".strip() for name, rate in rates.items() if rate > 0]
    return ", ".join(parts)


def _warnings(rows: Iterable[Row], names: Names) -> list[str]:
    same: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for warning in row.entry.warnings:
            same[warning].append(names[row.entry.key])
    return [f"{_listed(called)}: {sentence(warning)}" for warning, called in same.items()]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    if len(names) <= _MANY:
        return ", ".join(names)
    return f"{', '.join(names[:_MANY])} and {len(names) - _MANY} more"
