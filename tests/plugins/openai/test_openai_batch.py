"""Answers by batch: sent once, waited for, joined whatever their order, and paid for at half."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from batch_server import BatchServer
from fault_server import FaultServer
from sites import Site, write_tasks

from groupbench_openai.batch_notes import BatchNote, BatchNotes

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("openai")

GPT = "gpt-4o-2024-08-06"
N = 6


class Desk:
    """A folder with a task, a store and a cache."""

    def __init__(
        self, site: Site, root: Path, names: tuple[str, ...] = ("alpha",), n: int = N
    ) -> None:
        self.site, self.root, self.more = site, root, ""
        self.tasks = write_tasks(root / "cards", list(names), n=n)
        self.asked = [part for name in names for part in ("--task", name)]

    def arguments(self, url: str, *more: str, delivery: str = "batch") -> list[str]:
        settings = "poll_seconds=0.1," if delivery == "batch" else ""
        runner = f"openai:model=gpt-4o,url={url},mode=text,{settings}delivery={delivery}{self.more}"
        return [
            *("run", "--tasks-dir", str(self.tasks), *self.asked, "--grouping", "single"),
            *("--store", str(self.root / "store"), "--json", "--runner", runner, *more),
        ]

    def run(self, url: str, *more: str, **settings: str) -> subprocess.CompletedProcess[str]:
        cache = str(self.root / "cache")
        return self.site.groupbench(*self.arguments(url, *more, **settings), GROUPBENCH_CACHE=cache)

    def records(self) -> list[dict[str, Any]]:
        paths = (self.root / "store").glob("fits/*/*/result.json")
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def notes(self) -> list[Path]:
        return list((self.root / "cache" / "responses" / "batches").glob("*.json"))


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    return Desk(site, tmp_path)


def scores(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)["entries"][0]["scores"]


def items(bodies: list[dict[str, Any]]) -> list[str]:
    """Return the bodies that ask about a test example."""
    return sorted(text for text in map(json.dumps, bodies) if "test item" in text)


def test_a_batch_gives_the_answers_of_live_requests_at_half_the_price(
    site: Site, tmp_path: Path
) -> None:
    desk = Desk(site, tmp_path, ("alpha", "beta"))
    with BatchServer(GPT) as server:
        done = desk.run(server.url)
        assert done.returncode == 0, done.stderr
        assert len(server.batches) == 2, "one for each task"
        assert not items(server.live)
        assert len(items([line["body"] for line in server.lines])) == 2 * N
        billed = server.billed
        records = desk.records()
        again = desk.run(server.url)
        assert again.returncode == 0
        assert len(server.batches) == 2
    usd = sum(record["costs"]["usd"] for record in records)
    cached = sum(one["prompt_tokens_details"]["cached_tokens"] for one in billed)
    fresh = sum(one["prompt_tokens"] for one in billed) - cached
    out = sum(one["completion_tokens"] for one in billed)
    assert usd == pytest.approx(0.5e-6 * (2.5 * fresh + 1.25 * cached + 10 * out))
    assert "answered within a day" in done.stderr
    assert not desk.notes(), "what is answered needs no note"

    live = Desk(site, tmp_path / "live", ("alpha", "beta"))
    with FaultServer(models={GPT: {}}) as asked:
        assert scores(live.run(asked.url, delivery="live")) == scores(done)


def test_what_fails_for_a_time_is_sent_again_and_what_is_filtered_is_an_outcome(
    desk: Desk,
) -> None:
    faults = {"test item 1": "500", "test item 2": "expired", "test item 3": "filter"}
    with BatchServer(GPT, faults=faults) as server:
        done = desk.run(server.url)
        assert done.returncode == 0, done.stderr
        sizes = [
            len(server.files[b["input_file_id"]].splitlines()) for b in server.batches.values()
        ]
    assert sizes == [N, 2]
    (record,) = desk.records()
    assert list(record["training"]["prompts"]["alpha"]["splits"]["test"]["outcomes"]) == [
        "invalid",
        "refused",
    ]
    facts = record["training"]["model"]
    assert facts["retries"] == {"500": 1, "503": 1}
    assert facts["usd_unknown"] == 0


def test_a_run_that_was_killed_waits_for_the_batch_that_it_had_sent(desk: Desk) -> None:
    with BatchServer(GPT, n_looks=10_000) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "groupbench", *desk.arguments(server.url)],
            env=desk.site.environment(GROUPBENCH_CACHE=str(desk.root / "cache")),
            cwd=desk.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if server.batches and server.batches["batch_0"]["looks"] > 1:
                break
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert len(desk.notes()) == 1
        server.n_looks = 0
        done = desk.run(server.url)
        assert done.returncode == 0, done.stderr
        assert len(server.batches) == 1, "nothing is sent twice"
        assert not items(server.live)
    (record,) = desk.records()
    assert record["costs"]["usd"] > 0, "it is paid for by the run that gets the answers"
    assert not desk.notes()


def test_a_batch_whose_reply_was_lost_is_found_and_not_made_again(desk: Desk) -> None:
    with BatchServer(GPT, lose_created=True) as server:
        done = desk.run(server.url)
        assert done.returncode == 0, done.stderr
        assert len(server.batches) == 1


def test_a_batch_is_found_behind_newer_ones_of_others(desk: Desk) -> None:
    with BatchServer(GPT, lose_created=True, crowd=250) as server:
        done = desk.run(server.url)
        assert done.returncode == 0, done.stderr
        assert len(server.batches) == 1 + 250, "it is not made again"
        after = [asked.get("after") for asked in server.lists]
    assert after == [None, "batch_151", "batch_51"]


def test_batches_older_than_the_one_that_is_looked_for_are_not_gone_through(desk: Desk) -> None:
    notes = desk.root / "cache" / "responses" / "batches"
    with BatchServer(GPT, n_looks=0) as server:
        server.add_batches(500, hours_ago=48)
        server.add_batches(30)
        assert desk.run(server.url).returncode == 0
        assert not server.lists
        # As if it had been killed before it sent the batch, or before it heard of it.
        (body,) = [
            sorted(json.loads(line)["custom_id"] for line in text.splitlines())
            for text in server.files.values()
            if "custom_id" in text and '"response"' not in text
        ]
        shutil.rmtree(notes.parent)
        note = BatchNote(server.url, tuple(body), "file-lost", written=time.time())
        BatchNotes(notes).write(note)
        again = desk.run(server.url, "--store", str(desk.root / "again"))
        assert again.returncode == 0, again.stderr
    assert len(server.lists) == 2, "the second page is older from end to end"
    assert len([b for b in server.batches.values() if b["input_file_id"] != "file-of-others"]) == 2


def test_dollars_of_a_batch_that_has_ended_count_once(site: Site, tmp_path: Path) -> None:
    n, usd = 50, 2e-3
    desk = Desk(site, tmp_path, ("alpha", "beta"), n=n)
    desk.more = ",max_output=2"  # the server answers with two tokens, so that no worst case is more
    prices = tmp_path / "prices.toml"
    prices.write_text(f'[models."{GPT}"]\ninput = 0.0\ncached_input = 0.0\noutput = 2000.0\n')
    probe = 9 * 2 * usd  # it is asked live, at the whole price
    limit = probe + 2 * n * usd + 1e-6
    with BatchServer(GPT) as server:
        done = desk.run(server.url, "--prices", str(prices), "--max-usd", f"{limit}")
        assert done.returncode == 0, done.stderr
        assert len(server.billed) == 2 * n
    records = desk.records()
    assert sum(r["costs"]["usd"] for r in records) == pytest.approx(2 * n * usd)
    assert {r["training"]["model"]["probe"]["usd"] for r in records} <= {probe}


def test_a_batch_that_is_not_taken_says_why(desk: Desk) -> None:
    with BatchServer(GPT, refuses="Billing hard limit has been reached.") as server:
        done = desk.run(server.url)
    assert done.returncode == 3
    (row,) = json.loads(done.stdout)["entries"]
    assert "Billing hard limit has been reached" in row["reason"]
    with BatchServer(GPT, lacks_batches=True) as server:
        done = desk.run(server.url)
    assert done.returncode == 3
    (row,) = json.loads(done.stdout)["entries"]
    assert "has no Batch API" in row["reason"]
    assert "delivery=live" in row["reason"]


def test_dollars_are_looked_at_before_anything_is_uploaded(desk: Desk) -> None:
    with BatchServer(GPT) as server:
        done = desk.run(server.url, "--max-usd", "0.0003")
        assert done.returncode == 6
        assert not server.batches
        more = desk.run(server.url, "--max-usd", "0.003")
        assert server.batches
        spent = sum(
            0.5e-6 * (2.5 * one["prompt_tokens"] + 10 * one["completion_tokens"])
            for one in server.billed
        )
    assert more.returncode == 0, more.stderr
    assert spent < 0.003
