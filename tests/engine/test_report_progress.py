from __future__ import annotations

import os
from io import StringIO

import pytest
from rich.console import Console

from groupbench.report.progress import (
    NullProgress,
    PlainProgress,
    Progress,
    TerminalProgress,
    progress_for,
)
from groupbench.report.text import duration


def tell(progress: Progress) -> None:
    """Tell a progress of a run that plans twice."""
    progress.planned(2, 1)
    progress.started("encoder {cola} seed 0")
    progress.started("encoder {mrpc} seed 0")
    progress.finished("encoder {cola} seed 0", 3.25, "ok")
    progress.cached("encoder {mrpc} seed 0")
    progress.planned(1, 0)
    progress.started("encoder {cola, mrpc} seed 0")
    progress.finished("encoder {cola, mrpc} seed 0", 12.0, "failed", "out of memory [/bold]\x1b[2J")
    progress.note("max_hours = 1.0 was reached")
    progress.close()


def terminal(width: int = 80) -> tuple[TerminalProgress, StringIO]:
    file = StringIO()
    console = Console(file=file, force_terminal=True, width=width, color_system=None)
    return TerminalProgress(console), file


def test_without_a_terminal_each_finished_fit_is_a_line() -> None:
    stream = StringIO()
    tell(PlainProgress(stream))
    lines = stream.getvalue().splitlines()
    assert lines[1].startswith("[1/2] encoder {cola} seed 0: ok after 3.2 s, about ")
    assert [lines[0], *lines[2:]] == [
        "2 fits to compute, 1 from the store",
        "[2/2] encoder {mrpc} seed 0: stored already",
        "1 fit to compute, 0 from the store",
        "[3/3] encoder {cola, mrpc} seed 0: failed after 12 s: out of memory [/bold]\\x1b[2J",
        "max_hours = 1.0 was reached.",
    ]


def test_a_run_that_is_all_cached_says_nothing() -> None:
    stream = StringIO()
    PlainProgress(stream).planned(0, 144)
    live, file = terminal()
    live.planned(0, 144)
    live.close()
    assert stream.getvalue() == file.getvalue() == ""


def test_lines_hold_no_carriage_return_and_nothing_a_terminal_obeys() -> None:
    stream = StringIO()
    tell(PlainProgress(stream))
    assert not set(stream.getvalue()) & set("\r\x1b")


def test_a_terminal_shows_failures_and_notes_above_the_live_lines() -> None:
    progress, file = terminal()
    tell(progress)
    text = file.getvalue()
    assert "[3/3] encoder {cola, mrpc} seed 0: failed after 12 s: out of memory [/bold]" in text
    assert "\\x1b[2J" in text
    assert "max_hours = 1.0 was reached." in text
    assert "ok after" not in text


@pytest.mark.parametrize("width", [1, 8, 20, 200])
def test_live_lines_are_no_wider_than_the_terminal(width: int) -> None:
    progress, _ = terminal(width)
    progress.planned(9, 0)
    for seed in range(6):
        progress.started(f"encoder:model=all-MiniLM-L6-v2 {{cola, mrpc, 日本語}} seed {seed}")
    lines = progress.console.render_lines(progress.render(), pad=False)
    progress.close()
    assert len(lines) == 6  # the summary, four fits, the rest
    assert all(sum(segment.cell_length for segment in line) <= width for line in lines)


def test_the_live_lines_go_when_all_is_done_and_the_cursor_comes_back() -> None:
    progress, file = terminal()
    progress.planned(1, 0)
    progress.started("a")
    progress.finished("a", 1.0, "ok")
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l")
    progress.planned(1, 0)
    progress.close()
    progress.close()
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l")


def test_a_reader_that_went_away_does_not_stop_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    tell(PlainProgress(stream))
    with pytest.raises(BrokenPipeError):
        stream.close()
    closed = StringIO()
    closed.close()
    tell(PlainProgress(closed))


def test_a_stream_without_unicode_gets_escapes() -> None:
    class Bytes(StringIO):
        encoding = "ascii"  # as a stream in the C locale has it

    stream = Bytes()
    PlainProgress(stream).note("größer")
    assert stream.getvalue() == "gr\\xf6\\xdfer.\n"


def test_progress_fits_where_it_is_written() -> None:
    piped = Console(file=StringIO(), force_terminal=False)
    live = Console(file=StringIO(), force_terminal=True)
    assert isinstance(progress_for(piped), PlainProgress)
    assert isinstance(progress_for(live, quiet=True), NullProgress)
    assert isinstance(progress_for(piped, quiet=True), NullProgress)


def test_durations_are_short() -> None:
    assert [duration(s) for s in (0.5, 9.99, 99, 101, 5999, 6001)] == [
        *("0.5 s", "10.0 s", "99 s", "2 min", "100 min", "2 h")
    ]
