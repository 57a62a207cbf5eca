# ruff: noqa: E501 - tables are compared whole
from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO, StringIO, TextIOWrapper
from typing import TYPE_CHECKING
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from groupbench.calls import Calls
from groupbench.cell import Spent, Status
from groupbench.predictions import Outcome
from groupbench.report.markdown import escape
from groupbench.report.text import plain
from groupbench.testing.leaderboards import Desk, answer, make_task

if TYPE_CHECKING:
    from groupbench.leaderboard import Leaderboard

HOSTILE = "[/bold] \x1b[2J\x9b31m \u202egnp.\u2066 a|b `c` <img src=x> :bomb: \ud800 \n# x"


def shown(board: Leaderboard, width: int) -> str:
    console = Console(width=width, color_system=None, file=StringIO())
    console.print(board)
    text = console.file.getvalue()  # type: ignore[attr-defined] # a StringIO
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.fixture
def board() -> Leaderboard:
    desk = Desk(
        tasks=(make_task("acceptable", n_test=200), make_task("entails", n_test=200)),
        note="Planted: difficulty, family and domain are three different answers.",
    )
    names = [task.name for task in desk.tasks]
    deciding = Spent(fits=6, seconds=140.0, example_steps=100)
    unread = {t.name: answer(t, 0.6, seed=1, outcomes={Outcome.INVALID: 20}) for t in desk.tasks}
    llm = desk.cell(unread, grouping=None, runner="llm", left_out={"entails": 3})
    entries = [
        desk.entry("single", 0.8),
        desk.entry("all", {"acceptable": 0.95, "entails": 0.4}, blocks=[names]),
        desk.entry(
            "pvi:test=tost,margin=0.25",
            0.9,
            blocks=[names],
            deciding=deciding,
            warnings=["acceptable and entails are undecided (power .31)"],
        ),
        desk.entry("by-family", 0.97, oracle=True),
        desk.ended("tag", Status.FAILED, "it ran out of memory"),
        desk.ended(None, Status.SKIPPED, "vllm is not installed: pip install vllm", runner="vllm"),
    ]
    llm = replace(
        llm,
        calls=Calls(
            n_examples=400,
            seconds=20.0,
            requests=400,
            replayed=0,
            retries=3,
            tokens_in=123_456,
            tokens_cached=100_000,
            tokens_out=800,
            tokens_reasoning=0,
            usd=0.5,
            usd_unknown=0.0,
            usd_replayed=0.0,
            waits={"-116": 370, "20": 30},
        ),
    )
    made = desk.entry(None, runner="llm", seeds=[0])
    return desk.board([*entries, type(made)(made.key, None, "llm", Status.OK, (llm,))])


NARROW = """\
example: 2 tasks, 7 entries

#  tier  grouping                   runner      average   gain  models   time
─────────────────────────────────────────────────────────────────────────────
*  -     by-family                  encoder  .972 ±.010  +17.0       2   38 s
1  1     pvi:test=tost,margin=0.25  encoder  .906 ±.051  +10.4       1  3 min
2  2     single                     encoder  .802 ±.035   base       2   38 s
3  3     all                        encoder  .683 ±.071  -11.8       1   38 s
4  4     -                          llm      .532 ±.047      -       1   12 s
-  -     tag                        encoder      failed      -       -      -
-  -     -                          vllm        skipped      -       -      -

#  entry                      acceptable      entails
─────────────────────────────────────────────────────
*  by-family                  .973 ±.029   .970 ±.037
1  pvi:test=tost,margin=0.25  .910 ±.046   .902 ±.060
2  single                     .800 ±.054   .803 ±.039
3  all                        .958 ±.034  .408 ±.144▼
4  llm                        .545 ±.068   .520 ±.068

entry  tokens in  cached  out  USD  /1,000     p50    p95  ex/s  retries
────────────────────────────────────────────────────────────────────────
llm         123k    100k  800  0.5    1.25  101 ms  1.5 s    20        3

entry  average  answered  invalid  refused  truncated  input cut
────────────────────────────────────────────────────────────────
llm       .532      .592   10.0 %        -          -          -

note       Planted: difficulty, family and domain are three different answers.
failed     tag: it ran out of memory.
skipped    vllm: vllm is not installed: pip install vllm.
scores     Fractions, the mean of 3 seeds. ± is half of the 95 % interval over
           test examples and seeds (of entries with one seed: over test examples
           only).
tier       Entries of tier 1 are not significantly below the best, and so on
           down (paired test over test examples and seeds, Holm-corrected, 5 %).
           Averages closer than about 9.8 points cannot be told apart here.
*          It knows what was planted: a bound, not a competitor, and not ranked.
gain       Points (hundredths) above the grouping single with the same runner. ▼
           marks a task that is significantly below it: negative transfer.
costs      Models that serve the suite; computing time of deciding and training,
           all seeds, shared fits counted wherever they are used. Deciding took
           pvi:test=tost,margin=0.25 6 fits (2 min).
calls      Of models that were asked, all seeds: tokens of prompts (cached: of
           those, read from a prompt cache) and answers (thought: of those),
           dollars paid and for 1,000 examples, time to answer (half and 95 %
           are faster), examples a second, attempts repeated. - is not known, or
           does not apply.
answers    Shares of all test examples. What has no valid answer counts as wrong
           in every score; answered is the average among answered examples
           alone, which are not the same for all entries.
metrics    share_right of acceptable (200), entails (200). In brackets: test
           examples.
left out   Train rows kept out of joint models because their text is in another
           task's test set: at most 3 of entails.
no answer  acceptable: invalid 10.0 %, .606 of the answered (llm). entails:
           invalid 10.0 %, .578 of the answered (llm).
warning    pvi:test=tost,margin=0.25: acceptable and entails are undecided
           (power .31).
"""

WIDE = """\
example: 2 tasks, 7 entries

#  tier  grouping                   runner      average   gain  models  params  fits  decide  train  acceptable  entails
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
*  -     by-family                  encoder  .972 ±.010  +17.0       2     22M     6       -   38 s        .973     .970
1  1     pvi:test=tost,margin=0.25  encoder  .906 ±.051  +10.4       1     22M     6   2 min   38 s        .910     .902
2  2     single                     encoder  .802 ±.035   base       2     22M     6       -   38 s        .800     .803
3  3     all                        encoder  .683 ±.071  -11.8       1     22M     6       -   38 s        .958    .408▼
4  4     -                          llm      .532 ±.047      -       1     11M     2       -   12 s        .545     .520
-  -     tag                        encoder      failed      -       -       -     -       -      -           -        -
-  -     -                          vllm        skipped      -       -       -     -       -      -           -        -

entry  tokens in  cached  out  thought  USD  lost  /1,000     p50    p95  ex/s  retries
───────────────────────────────────────────────────────────────────────────────────────
llm         123k    100k  800        0  0.5     0    1.25  101 ms  1.5 s    20        3

entry  average  answered  invalid  refused  truncated  input cut
────────────────────────────────────────────────────────────────
llm       .532      .592   10.0 %        -          -          -

note       Planted: difficulty, family and domain are three different answers.
failed     tag: it ran out of memory.
skipped    vllm: vllm is not installed: pip install vllm.
scores     Fractions, the mean of 3 seeds. ± is half of the 95 % interval over test examples and seeds (of entries with one seed: over test
           examples only).
tier       Entries of tier 1 are not significantly below the best, and so on down (paired test over test examples and seeds, Holm-corrected,
           5 %). Averages closer than about 9.8 points cannot be told apart here.
*          It knows what was planted: a bound, not a competitor, and not ranked.
gain       Points (hundredths) above the grouping single with the same runner. ▼ marks a task that is significantly below it: negative
           transfer.
costs      Models that serve the suite; computing time of deciding and training, all seeds, shared fits counted wherever they are used.
           Deciding took pvi:test=tost,margin=0.25 6 fits (2 min).
calls      Of models that were asked, all seeds: tokens of prompts (cached: of those, read from a prompt cache) and answers (thought: of
           those), dollars paid and for 1,000 examples, time to answer (half and 95 % are faster), examples a second, attempts repeated. -
           is not known, or does not apply.
answers    Shares of all test examples. What has no valid answer counts as wrong in every score; answered is the average among answered
           examples alone, which are not the same for all entries.
metrics    share_right of acceptable (200), entails (200). In brackets: test examples.
left out   Train rows kept out of joint models because their text is in another task's test set: at most 3 of entails.
no answer  acceptable: invalid 10.0 %, .606 of the answered (llm). entails: invalid 10.0 %, .578 of the answered (llm).
warning    pvi:test=tost,margin=0.25: acceptable and entails are undecided (power .31).
"""


def test_the_table_in_80_columns(board: Leaderboard) -> None:
    assert shown(board, 80) == NARROW


def test_the_table_in_140_columns(board: Leaderboard) -> None:
    assert shown(board, 140) == WIDE


@pytest.mark.parametrize("width", [20, 33, 45, 60, 79, 120, 200])
def test_no_line_is_wider_than_the_terminal(board: Leaderboard, width: int) -> None:
    assert max(len(line) for line in shown(board, width).splitlines()) <= width


def test_tasks_that_do_not_fit_are_put_in_more_tables() -> None:
    desk = Desk(tasks=tuple(make_task(f"task-{i:02}", n_test=20) for i in range(14)))
    text = shown(desk.board([desk.entry("single"), desk.entry("all")]), 80)
    for task in desk.tasks:
        assert text.count(f"{task.name}  ") + text.count(f"{task.name}\n") == 1
    assert text.count("entry") >= 3


def test_consoles_without_unicode_get_ascii(board: Leaderboard) -> None:
    stream = TextIOWrapper(BytesIO(), encoding="ascii")
    Console(width=80, color_system=None, file=stream).print(board)
    stream.seek(0)
    text = stream.read()
    assert ".802 +-.035" in text
    assert ".408 +-.144v" in text


def test_hostile_strings_are_shown_and_not_obeyed() -> None:
    desk = Desk(note=HOSTILE)
    entry = desk.entry("single", warnings=[HOSTILE])
    hostile = [desk.ended("tag", Status.FAILED, HOSTILE), desk.ended(HOSTILE, Status.REFUSED, "no")]
    board = desk.board([entry, *hostile])
    for text in (shown(board, 80), board.to_markdown()):
        assert not set(text) & set("\x1b\x9b\u202e\u2066\ud800")
        text.encode("utf-8")
    assert "[/bold]" in shown(board, 200)
    assert "\\x1b[2J\\x9b31m \\u202egnp." in shown(board, 200)
    assert board.to_json()["note"] == HOSTILE


def test_markdown_is_deterministic_and_each_row_has_every_column(board: Leaderboard) -> None:
    text = board.to_markdown()
    assert text == board.to_markdown()
    rows, *others = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    rows = rows.splitlines()
    assert len(rows) == 2 + len(board.rows)
    assert [len(table.splitlines()) for table in others] == [3, 3]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {13}
    assert "| 1 | 1 | pvi:test=tost,margin=0.25 | encoder |" in text
    assert "- **skipped**: vllm: vllm is not installed: pip install vllm.\n" in text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(max_examples=200)
@given(st.text(st.characters(), max_size=30) | st.text("|`<>&[]()!*_:$#\\@a.w/", max_size=30))
def test_escaped_markdown_is_text_alone(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]]", escaped.replace("\\\\", ""))
    tags = Tags()
    tags.feed(escaped)
    tags.close()
    assert tags.found == []
    # What a reader sees once Markdown took the backslashes and HTML the entities.
    assert re.sub(r"\\([\\`*_{}\[\]|~$#!^])", r"\1", tags.text) == plain(text)


@given(st.text(st.characters()))
def test_plain_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    safe = plain(text)
    assert "\n" not in safe
    assert {category(c) for c in safe}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert all(c in "\u200c\u200d" for c in safe if category(c) == "Cf")
    safe.encode("utf-8")


@pytest.mark.parametrize("text", ["café", "naïve 日本語", "👩\u200d⚕️", "a b"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_a_board_without_entries_is_one_line() -> None:
    desk = Desk()
    assert shown(desk.board([]), 80) == "example: 4 tasks, no entries\n"
    assert desk.board([]).to_markdown() == (
        "## example\n\nNo entries.\n\n- **note**: Nothing is planted here.\n"
    )


def test_entries_of_one_seed_say_that_seeds_are_unknown() -> None:
    desk = Desk()
    text = shown(desk.board([desk.entry("single", seeds=[0])]), 200)
    assert "one seed says nothing of how training varies" in text


def test_partial_entries_say_which_seeds_are_missing() -> None:
    desk = Desk()
    whole = desk.entry("single")
    lost = type(whole.cells[0])("single", "encoder", 1, Status.FAILED, reason="killed")
    cells = (whole.cells[0], lost, whole.cells[2])
    partial = type(whole)(whole.key, "single", "encoder", Status.PARTIAL, cells, whole.groupings)
    text = shown(desk.board([partial]), 120)
    assert re.search(r"\.\d{3} ±\.\d{3} partial", text)
    assert "single (seed 1): killed." in text
