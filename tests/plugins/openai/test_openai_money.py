"""Money through whole runs: what is answered is paid for once, told before, and capped per run."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fault_server import FaultServer
from pretending import PretendingServer
from sites import Site, write_tasks

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("openai")

KEY = "sk-canary-0123456789abcdef"
GPT = "gpt-4o-2024-08-06"


@dataclass
class Desk:
    """A folder with tasks, a file of prices, and stores and caches by name."""

    site: Site
    root: Path
    n: int = 6
    """Test examples of a task."""
    names: tuple[str, ...] = ("alpha", "beta")

    def __post_init__(self) -> None:
        self.tasks = write_tasks(self.root / "cards", list(self.names), n=self.n)
        self.prices = self.root / "prices.toml"
        self.price(GPT, input=0.0, cached_input=0.0, output=1000.0)

    def price(self, model: str, **fields: float) -> None:
        lines = [f"{name} = {value}" for name, value in fields.items()]
        self.prices.write_text("\n".join([f'[models."{model}"]', *lines]) + "\n")

    def command(self, runner: str, store: str, *more: object) -> list[str]:
        named = [part for name in self.names for part in ("--task", name)]
        return [
            *("run", "--tasks-dir", str(self.tasks), *named, "--grouping", "single"),
            *("--store", str(self.root / store), "--prices", str(self.prices)),
            *("--runner", runner, *map(str, more)),
        ]

    def environment(self, cache: str) -> dict[str, str]:
        return {"GROUPBENCH_CACHE": str(self.root / cache), "THE_KEY": KEY}

    def run(
        self, runner: str, *more: object, store: str = "store", cache: str = "cache"
    ) -> subprocess.CompletedProcess[str]:
        return self.site.groupbench(
            *self.command(runner, store, *more), **self.environment(cache), timeout=300
        )

    def plan(self, runner: str, *more: object, **places: str) -> Any:
        done = self.run(runner, "--dry-run", "--json", *more, **places)
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)["estimates"]
        assert row["problem"] is None
        return row

    def costs(self, store: str = "store") -> list[Any]:
        """Return what each stored fit took."""
        paths = (self.root / store).glob("fits/*/*/result.json")
        return [json.loads(path.read_text(encoding="utf-8"))["costs"] for path in paths]

    def predictions(self, store: str = "store") -> dict[str, bytes]:
        paths = (self.root / store).glob("fits/*/*/*.test.parquet")
        return {path.name: path.read_bytes() for path in paths}


def spec(server: FaultServer | PretendingServer, model: str = "gpt-4o", **settings: object) -> str:
    told = {"url": server.url, "key_variable": "THE_KEY", **settings}
    return f"openai:model={model}," + ",".join(f"{name}={value}" for name, value in told.items())


def asked(server: FaultServer) -> Counter[str]:
    """Return how often each test example was asked about."""
    bodies = (json.dumps(one.body, sort_keys=True) for one in list(server.seen))
    return Counter(body for body in bodies if " test item " in body)


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    return Desk(site, tmp_path)


def test_an_estimate_leaves_out_what_is_answered_and_is_what_the_rest_then_costs(
    desk: Desk,
) -> None:
    # Only output is billed: an answer of one word and an end mark, which the server counts too.
    faults = [None, None, None, None, "401"]
    with FaultServer(faults=faults, only="test item", models={GPT: {}}) as server:
        runner = spec(server, mode="text", concurrency=1)
        unseen = desk.plan(runner)
        assert (unseen["examples"], unseen["stored_answers"]) == (12, 0)
        stopped = desk.run(runner)
        assert stopped.returncode == 3, stopped.stderr
        assert asked(server).total() == 4 + 1 + 6, "one task stopped in the middle"

        row = desk.plan(runner)
        assert (row["fits"], row["examples"], row["stored_answers"]) == (1, 6, 4)
        text = " ".join(desk.run(runner, "--dry-run").stdout.split())
        assert "would ask about 6 examples (4 of 6 already answered, free) in 1 fit" in text

        assert desk.run(runner).returncode == 0
        assert asked(server).total() == 12 + 1, "only the one that was refused is asked again"
    (now,) = [each for each in desk.costs() if each["calls"]["replayed"]]
    assert now["calls"]["replayed"] == 4
    assert row["usd"] == pytest.approx(now["usd"])
    assert now["usd"] == pytest.approx(2 * 2e-3)


@pytest.mark.parametrize("runner", ["openai", "vllm"])
def test_an_estimate_of_scored_labels_is_exact_after_an_experiment_about_a_part(
    site: Site, tmp_path: Path, runner: str
) -> None:
    desk = Desk(site, tmp_path, names=("alpha",))
    pytest.importorskip("transformers")
    from llamas import build_llama, llama3_tokenizer

    folder, tokenizer = desk.root / "llama3", llama3_tokenizer()
    if runner == "openai":
        tokenizer.save_pretrained(folder)
    else:
        pytest.importorskip("torch")
        build_llama(folder, "llama3")
    with PretendingServer(tokenizer=tokenizer, key=KEY) as server:
        told = {
            "openai": spec(server, "tiny-1", tokenizer=folder),
            "vllm": f"vllm:url={server.url},key_variable=THE_KEY,served_as=tiny-1,model={folder}",
        }[runner]
        desk.price("tiny-1" if runner == "openai" else str(folder), input=1000.0, output=500.0)
        assert desk.run(told, "--max-test", 4).returncode == 0

        row = desk.plan(told)
        assert (row["examples"], row["stored_answers"]) == (6, 4)
        done = desk.run(told, store="whole")
        assert done.returncode == 0, done.stderr
        paid = sum(each["usd"] for each in desk.costs("whole"))
        assert row["usd"] == pytest.approx(paid, rel=1e-6)
        assert paid > 0

        nothing = desk.plan(told, store="third")
        assert (nothing["stored_answers"], nothing["usd"], nothing["tokens_in"]) == (6, 0.0, 0)


def test_a_dry_run_writes_nothing_to_the_response_store(desk: Desk) -> None:
    desk.plan("openai:model=gpt-4o,key_variable=THE_KEY")
    assert not (desk.root / "cache" / "responses").exists()


def test_a_run_that_is_killed_pays_for_nothing_twice_and_predicts_the_same_byte_for_byte(
    site: Site, tmp_path: Path
) -> None:
    n, at_once = 40, 4
    desk = Desk(site, tmp_path, n)
    with FaultServer(models={GPT: {}}) as server:
        whole = desk.run(spec(server, mode="text"), store="undisturbed", cache="other")
        assert whole.returncode == 0, whole.stderr
        expected, wanted = desk.predictions("undisturbed"), asked(server)
        paid = sum(each["usd"] for each in desk.costs("undisturbed"))
    assert sorted(expected) == ["alpha.test.parquet", "beta.test.parquet"]
    assert wanted.total() == len(wanted) == 2 * n

    with FaultServer(seconds=0.1, models={GPT: {}}) as server:
        runner = spec(server, mode="text", concurrency=at_once)
        run = subprocess.Popen(
            [sys.executable, "-m", "groupbench", *desk.command(runner, "store")],
            env=site.environment(**desk.environment("cache")),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            give_up = time.monotonic() + 200
            while asked(server).total() < n + n // 2:  # one fit is stored, the other is not
                assert run.poll() is None, "the run ended"
                assert time.monotonic() < give_up
                time.sleep(0.02)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait(60)
        time.sleep(0.5)  # what was in flight is answered by now, to nobody
        before = asked(server)
        assert before.total() < 2 * n, "it was killed too late"
        row = desk.plan(runner)
        server.seconds = 0.0
        done = desk.run(runner)
        assert done.returncode == 0, done.stderr
        after = asked(server)
    assert desk.predictions() == expected
    assert set(after) == set(wanted)
    twice = [body for body, times in after.items() if times > 1]
    assert len(twice) <= at_once, "only what was in flight is asked again"
    assert all(before[body] == 1 for body in twice)
    assert row["examples"] - row["stored_answers"] == (after - before).total()
    # What was in flight when it was killed is billed and in no record.
    assert sum(each["usd"] for each in desk.costs()) <= paid


def test_max_usd_is_of_one_run_and_the_next_goes_on_where_it_stopped(
    site: Site, tmp_path: Path
) -> None:
    n, limit = 30, 0.11
    desk = Desk(site, tmp_path, n)
    codes: list[int] = []
    spent = [0.0]
    with FaultServer(models={GPT: {}}) as server:
        while not codes or (codes[-1] == 6 and len(codes) < 5):
            done = desk.run(spec(server, mode="text", concurrency=1), "--max-usd", limit)
            codes.append(done.returncode)
            spent.append(1e-3 * server.billed(said=True)["completion_tokens"])
        assert asked(server).total() == len(asked(server)) == 2 * n, "nothing is asked twice"
    assert codes == [6, 6, 0], done.stderr
    assert all(0 < after - before <= limit for before, after in itertools.pairwise(spent))
    assert spent[-1] > limit, "what an earlier run spent does not count"
