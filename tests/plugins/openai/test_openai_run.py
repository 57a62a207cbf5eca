"""The runner `openai` through the command line, against a server on loopback that may fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from fault_server import FaultServer, written
from pretending import PretendingServer
from sites import Site, write_tasks

from groupbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("openai")

KEY = "sk-canary-0123456789abcdef"
GPT = "gpt-4o-2024-08-06"
LIVES = {GPT: {"shutdown_date": "2999-01-01"}}
N = 6
"""Test examples of a task."""


@dataclass
class Desk:
    """A folder with tasks, a store and a cache, at which `groupbench run` is called."""

    site: Site
    tasks: Path
    names: tuple[str, ...]
    root: Path
    more: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        told: dict[str, Any] = {"GROUPBENCH_CACHE": str(self.root / "cache"), "THE_KEY": KEY}
        told |= environment
        named = [part for name in self.names for part in ("--task", name)]
        return self.site.groupbench(
            *("run", "--tasks-dir", self.tasks, *named, "--grouping", "single"),
            *("--store", self.root / "store", "--json", *arguments),
            **told,
        )

    def experiment(self, server: FaultServer, text: str = "", **settings: object) -> Path:
        """Write an experiment file with the runner and ``text``; return it."""
        told = {"model": "gpt-4o", "url": server.url, "key_variable": "THE_KEY", **settings}
        lines = ['schema = "groupbench/experiment/1"', "[[runner]]", 'name = "openai"']
        lines += [f"{name} = {json.dumps(value)}" for name, value in told.items()]
        path = self.root / "experiment.toml"
        path.write_text("\n".join([*lines, text]) + "\n", encoding="utf-8")
        return path

    def records(self) -> dict[str, Any]:
        """Return what is kept of each fit, by task."""
        found = {}
        for path in (self.root / "store").glob("fits/*/*/result.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            (task,) = document["training"]["prompts"]
            found[task] = document
        return found


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    tasks = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=N)
    return Desk(site, tasks, ("alpha", "beta"), tmp_path)


def spec(server: FaultServer, model: str = "gpt-4o", **settings: object) -> str:
    told = {"url": server.url, "key_variable": "THE_KEY", **settings}
    return f"openai:model={model}," + ",".join(f"{name}={value}" for name, value in told.items())


def entry(done: subprocess.CompletedProcess[str], n: int = 0) -> Any:
    return json.loads(done.stdout)["entries"][n]


def asked(server: FaultServer) -> list[dict[str, Any]]:
    """Return the bodies that ask about a test example."""
    return [one.body for one in server.seen if "test item" in json.dumps(one.body)]


def write_kinds(folder: Path) -> Path:
    """Write a task of each kind."""
    rows: dict[str, tuple[dict[str, Any], Any]] = {
        "single": (
            {"labels": ["no", "yes"], "metrics": ["accuracy"]},
            lambda i, text: {"text": text, "label": ["no", "yes"][i % 2]},
        ),
        "pair": (
            {"labels": ["same", "other"], "metrics": ["accuracy"]},
            lambda i, text: {
                "text": text,
                "text_pair": f"{text} too",
                "label": ["same", "other"][i % 2],
            },
        ),
        "multilabel": (
            {"labels": ["joy", "fear"], "metrics": ["f1_micro"]},
            lambda i, text: {"text": text, "labels": ["joy", "fear"][: i % 3]},
        ),
        "token": (
            {"labels": ["O", "B-thing", "I-thing"], "metrics": ["seqeval_f1"]},
            lambda i, text: {
                "tokens": text.split(),
                "tags": ["O", "O", "O", ["O", "B-thing"][i % 2]],
            },
        ),
    }
    for kind, (facts, row) in rows.items():
        task = folder / kind
        task.mkdir(parents=True)
        card = {"name": kind, "kind": kind, "domain": "made", "data_class": "open", **facts}
        lines = [f"{name} = {json.dumps(value)}" for name, value in card.items()]
        (task / "card.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for split in ("train", "validation", "test"):
            texts = [f"{kind} {split} item {i}" for i in range(N)]
            made = [json.dumps(row(i, text)) for i, text in enumerate(texts)]
            (task / f"{split}.jsonl").write_text("\n".join(made) + "\n", encoding="utf-8")
    return folder


KINDS = ("single", "pair", "multilabel", "token")


PRICES = (2.5e-6, 1.25e-6, 10e-6)
"""Dollars of a token of gpt-4o: read, read from a cache, written."""


def usd_of(billed: dict[str, int]) -> float:
    fresh = billed["prompt_tokens"] - billed["cached_tokens"]
    read, cached, written_ = PRICES
    return fresh * read + billed["cached_tokens"] * cached + billed["completion_tokens"] * written_


def test_every_kind_is_asked_by_schema_and_paid_for_once(site: Site, tmp_path: Path) -> None:
    desk = Desk(site, write_kinds(tmp_path / "kinds"), KINDS, tmp_path)
    with FaultServer(models=LIVES) as server:
        done = desk.run("--runner", spec(server))
        assert done.returncode == 0, done.stderr
        bodies, billed, n_asked = asked(server), server.billed(said=True), len(server.seen)
        assert len(bodies) == N * len(KINDS)
        assert all("response_format" in body for body in bodies)
        records = desk.records()

        again = desk.run("--runner", spec(server))
        assert entry(again)["scores"] == entry(done)["scores"]
        assert len(server.seen) == n_asked, "a second run sends nothing"

        desk.root.joinpath("store").rename(desk.root / "first")
        replayed = desk.run("--runner", spec(server))
        assert entry(replayed)["scores"] == entry(done)["scores"]
        assert len(asked(server)) == len(bodies), "another store: what was answered is replayed"
        assert sum(record["costs"]["usd"] for record in desk.records().values()) == 0

    facts = [record["training"]["model"] for record in records.values()]
    probed = facts[0]["probe"]
    spent = [*facts, probed]
    assert sum(each["tokens_in"] for each in spent) == billed["prompt_tokens"]
    assert sum(each["tokens_out"] for each in spent) == billed["completion_tokens"]
    assert sum(each["usd"] for each in facts) == pytest.approx(
        sum(record["costs"]["usd"] for record in records.values())
    )
    assert sum(each["usd"] for each in spent) == pytest.approx(usd_of(billed), rel=0.02)
    assert all(each["usd_unknown"] == 0 for each in facts)
    found = {task: r["training"]["prompts"][task]["splits"]["test"] for task, r in records.items()}
    assert all(each["outcomes"] == {"ok": N} for each in found.values())
    assert found["token"]["items_ok"] == N


def test_text_and_choice_are_asked_for_as_they_are_called(site: Site, tmp_path: Path) -> None:
    desk = Desk(site, write_kinds(tmp_path / "kinds"), KINDS[:3], tmp_path)
    with FaultServer(models=LIVES) as server:
        both = [spec(server, mode=mode) for mode in ("text", "choice")]
        done = desk.run(*(part for runner in both for part in ("--runner", runner)))
        assert done.returncode == 0, done.stderr
        bodies = asked(server)
    chosen = [body for body in bodies if "structured_outputs" in body]
    assert len(bodies) - len(chosen) == 3 * N
    assert len(chosen) == 2 * N + 2 * N, "each label of a multilabel task is asked about"
    rows = {row["runner"]: row for row in json.loads(done.stdout)["entries"]}
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_predictions_are_what_the_server_said(desk: Desk) -> None:
    import pyarrow.parquet as pq

    with FaultServer(models=LIVES) as server:
        assert desk.run("--runner", spec(server)).returncode == 0
        told = {body["messages"][-1]["content"]: written(body) for body in asked(server)}
    (path,) = (desk.root / "store").glob("fits/*/*/alpha.test.parquet")
    raw = pq.read_table(path).column("raw").to_pylist()
    assert Counter(raw) == Counter(text for ask, text in told.items() if "alpha" in ask)
    facts = desk.records()["alpha"]["training"]["model"]
    assert facts["answered_by"] == [{"model": GPT, "fingerprint": "fp_1", "answers": N}]
    assert facts["shutdown_date"] == "2999-01-01"


def test_a_request_has_the_fields_of_its_model_and_no_others(desk: Desk) -> None:
    with FaultServer(models={}) as server:
        runners = [
            spec(server, "gpt-4o", shots=2),
            spec(server, "gpt-6-luna", shots=2),
            spec(server, "gpt-6.1-sol", shots=2, reasoning_effort="low"),
            spec(server, "tiny-1", shots=2),
        ]
        done = desk.run(*(part for runner in runners for part in ("--runner", runner)))
        assert done.returncode == 0, done.stderr
        bodies = asked(server)
    sent: dict[str, list[dict[str, Any]]] = {}
    for body in bodies:
        sent.setdefault("gpt-4o" if body["model"] == GPT else body["model"], []).append(body)
    assert set(sent) == {"gpt-4o", "gpt-6-luna", "gpt-6.1-sol", "tiny-1"}
    for model, bodies in sent.items():
        assert len(bodies) == 2 * N, model
        assert not any("max_tokens" in body for body in bodies)
        assert all("max_completion_tokens" in body for body in bodies)
    first = {model: bodies[0] for model, bodies in sent.items()}
    assert first["gpt-4o"]["temperature"] == 0
    assert "reasoning_effort" not in first["gpt-4o"]
    assert first["gpt-6-luna"]["reasoning_effort"] == "none"
    assert first["gpt-6-luna"]["temperature"] == 0
    assert first["gpt-6.1-sol"]["reasoning_effort"] == "low"
    assert not {"temperature", "top_p", "seed"} & set(first["gpt-6.1-sol"])
    reserve = (
        first["gpt-6.1-sol"]["max_completion_tokens"] - first["gpt-6-luna"]["max_completion_tokens"]
    )
    assert reserve == 4096
    for model in ("gpt-4o", "gpt-6-luna", "gpt-6.1-sol"):
        assert first[model]["store"] is False
        keys = {body["prompt_cache_key"] for body in sent[model]}
        assert len(keys) == 2, "one for each task: its prompts begin alike"
        assert all(len(key) <= 64 for key in keys)
    assert not {"store", "prompt_cache_key", "seed"} & set(first["tiny-1"])


FINAL = {
    "context openai": ("truncated", "prompt_too_long"),
    "filtered prompt": ("refused", "content_filter"),
    "refusal": ("refused", "refusal"),
    "content_filter": ("refused", "content_filter"),
    "length": ("truncated", "length"),
    "null content": ("invalid", "empty"),
}


def test_each_final_fault_of_an_example_has_its_own_outcome(desk: Desk) -> None:
    desk.names = ("alpha",)
    with FaultServer(faults=list(FINAL), only="test item", models=LIVES) as server:
        done = desk.run("--runner", spec(server, mode="text", concurrency=1))
        assert done.returncode == 0, done.stderr
        assert [one.fault for one in server.seen if one.fault] == list(FINAL)
    tally = desk.records()["alpha"]["training"]["prompts"]["alpha"]["splits"]["test"]
    assert Counter(tally["reasons"].values()) == Counter(reason for _, reason in FINAL.values())
    assert tally["outcomes"] == dict(Counter(outcome for outcome, _ in FINAL.values()))


STOPPING = {
    "401": "401: Incorrect API key provided: Bearer [key]. Check its API key.",
    "404": "404: The model `tiny-1` does not exist. Check its URL and the model's name.",
    "insufficient_quota": "Check the account's billing.",
    "429 long": "asks to wait 9999 s",
    "other model": f"'{GPT}' was asked and 'another' answered",
}


def test_a_fault_that_ends_a_fit_says_why_and_what_was_answered_is_kept(desk: Desk) -> None:
    desk.names = ("alpha",)
    with ExitStack() as stack:
        servers = {}
        for i, fault in enumerate(STOPPING):
            # Models of another length: they do not share answers.
            models = {GPT: {"max_model_len": 9000 + i}}
            faults = [None, None, fault]
            server = FaultServer(faults=faults, only="test item", models=models)
            servers[fault] = stack.enter_context(server)
        runners = [spec(server, concurrency=1) for server in servers.values()]
        given = [part for runner in [*runners, "majority"] for part in ("--runner", runner)]
        done = desk.run(*given)
        assert done.returncode == 3
        rows = {row["runner"]: row for row in json.loads(done.stdout)["entries"]}
        assert rows["majority"]["status"] == "ok"
        for fault, server in servers.items():
            (row,) = [row for name, row in rows.items() if server.url in name]
            assert STOPPING[fault] in row["reason"]
            assert len(asked(server)) == 3
        again = desk.run(*given)
        assert again.returncode == 0, again.stderr
        for server in servers.values():
            assert len(asked(server)) == N + 1, "only what was not answered is asked again"
    assert "Traceback" not in done.stderr
    assert KEY not in done.stdout + done.stderr


def test_without_its_key_it_is_skipped_beside_a_runner_that_works(desk: Desk) -> None:
    with FaultServer(models=LIVES) as server:
        missing = spec(server, key_variable="NOT_SET")
        done = desk.run(
            "--runner", missing, "--runner", "openai:model=gpt-4.1", "--runner", "majority"
        )
        assert server.connections == 0
        alone = desk.run("--runner", missing)
    assert done.returncode == 0, done.stderr
    reasons = [row["reason"] for row in json.loads(done.stdout)["entries"] if row["reason"]]
    assert sorted(reasons) == [
        "No API key: set the environment variable NOT_SET",
        "No API key: set the environment variable OPENAI_API_KEY",
    ]
    assert alone.returncode == 5


def test_a_row_that_is_stored_needs_no_key_and_no_model_that_is_still_served(desk: Desk) -> None:
    with FaultServer(models=LIVES) as server:
        first = desk.run("--runner", spec(server))
        assert first.returncode == 0, first.stderr
        server.models = {GPT: {"shutdown_date": "2020-01-01"}}
        n = server.connections
        later = desk.run("--runner", spec(server), THE_KEY="")
        assert later.returncode == 0, later.stderr
        assert entry(later)["scores"] == entry(first)["scores"]
        assert server.connections == n


def test_openais_key_is_not_sent_to_another_endpoint(desk: Desk) -> None:
    desk.names = ("alpha",)
    other = "sk-of-openai-0123456789"
    with FaultServer(models=LIVES) as server:
        done = desk.run(
            "--runner", f"openai:model=gpt-4o,url={server.url}",
            OPENAI_API_KEY=other, OPENAI_ORG_ID="org-secret", OPENAI_BASE_URL="http://127.0.0.1:9",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        sent = json.dumps([one.headers for one in server.seen])
    assert other not in sent
    assert "org-secret" not in sent
    assert "Bearer none" in sent


@pytest.mark.parametrize("data_class", ["credentialed", "private"])
def test_what_may_not_leave_is_refused_before_any_connection(
    site: Site, tmp_path: Path, data_class: str
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["notes"], n=N, data_class=data_class)
    desk = Desk(site, tasks, ("notes",), tmp_path)
    with FaultServer(models=LIVES) as server:
        outside = [
            "--runner",
            spec(server),
            "--runner",
            "openai:model=gpt-4.1,key_variable=THE_KEY",
        ]
        done = desk.run(*outside)
        assert done.returncode == 6, done.stderr
        for row in json.loads(done.stdout)["entries"]:
            assert row["status"] == "refused"
            assert f"notes ({data_class}) may not be sent to openai" in row["reason"]
        beside = desk.run(*outside, "--runner", "majority")
        assert beside.returncode == 0
        assert server.connections == 0, "no connection is even attempted"
        assert "tests may not connect" not in done.stdout + done.stderr + beside.stdout

        pair = '[[allow]]\ntask = "notes"\nrunner = "openai"\nreason = "contract 1"'
        allowed = desk.run(desk.experiment(server, pair))
        assert allowed.returncode == 0, allowed.stderr
        assert len(asked(server)) == N


def test_a_model_that_is_shut_is_refused_with_its_successor_and_sent_nothing(desk: Desk) -> None:
    with FaultServer(models={GPT: {"shutdown_date": "2020-02-01"}}) as server:
        done = desk.run("--runner", spec(server), "--runner", "majority")
        alone = desk.run("--runner", spec(server))
        assert not server.seen
    assert done.returncode == 0, done.stderr
    rows = {row["runner"].partition(":")[0]: row for row in json.loads(done.stdout)["entries"]}
    assert rows["openai"]["status"] == "skipped"
    assert rows["openai"]["reason"] == f"{GPT} was shut down on 2020-02-01: use gpt-6-luna."
    assert alone.returncode == 5


def test_a_model_that_is_soon_gone_is_warned_about_once_and_in_the_record(desk: Desk) -> None:
    from datetime import UTC, datetime, timedelta

    soon = (datetime.now(UTC) + timedelta(days=30)).date()
    with FaultServer(models={GPT: {"shutdown_date": f"{soon}T00:00:00Z"}}) as server:
        done = desk.run("--runner", spec(server))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "is shut down on" in line]
    assert len(lines) == 1
    assert f"{GPT} is shut down on {soon}, in " in lines[0]
    assert "use gpt-6-luna" in lines[0]
    (warning,) = desk.records()["beta"]["training"]["model"]["warnings"]
    assert warning == lines[0]


def test_openais_own_models_past_the_date_of_the_price_file_are_skipped(desk: Desk) -> None:
    done = desk.run("--runner", "openai:model=gpt-4,key_variable=THE_KEY", "--runner", "majority")
    assert done.returncode == 0
    reasons = [row["reason"] for row in json.loads(done.stdout)["entries"] if row["reason"]]
    assert reasons == ["gpt-4-0613 was shut down on 2026-10-23: use gpt-6-luna."]


def test_what_does_not_answer_is_skipped_with_its_url(desk: Desk) -> None:
    with FaultServer() as server:
        pass
    done = desk.run("--runner", spec(server), "--runner", "majority")
    assert done.returncode == 0, done.stderr
    rows = {row["runner"].partition(":")[0]: row for row in json.loads(done.stdout)["entries"]}
    assert rows["openai"]["status"] == "skipped"
    assert f"{server.url} does not answer" in rows["openai"]["reason"]


def test_dollars_that_cannot_be_counted_cannot_be_limited(desk: Desk) -> None:
    limits = "[limits]\nmax_usd = 1.0"
    with FaultServer() as server:
        done = desk.run(desk.experiment(server, limits, model="tiny-1"))
        assert server.connections == 0
    assert done.returncode == 6
    assert "max_usd = 1.0 cannot be held: the price of tiny-1 is not known" in entry(done)["reason"]


def test_a_probe_is_billed_and_is_not_sent_where_nothing_may_be_spent(desk: Desk) -> None:
    with FaultServer(models=LIVES) as server:
        done = desk.run(desk.experiment(server, "[limits]\nmax_usd = 0"))
        assert done.returncode == 6
        assert not server.seen
    assert entry(done)["status"] == "refused"
    assert "stored. Run again to go on." in done.stderr


def test_a_run_stops_before_it_passes_its_dollars_and_goes_on_with_more(desk: Desk) -> None:
    n_all = 30  # with fewer the worst case of the probe would be more than all of them cost
    crowd = replace(desk, tasks=write_tasks(desk.root / "crowd", list(desk.names), n=n_all))

    def limited(usd: float) -> Any:
        return crowd.run(
            desk.experiment(server, f"[limits]\nmax_usd = {usd}", concurrency=1, mode="text")
        )

    with FaultServer(models=LIVES) as server:
        done = limited(0.0035)
        assert done.returncode == 6
        billed = server.billed(said=True)
        n = len(asked(server))
        assert 0 < n < 2 * n_all
        usd = billed["prompt_tokens"] * 2.5e-6 + billed["completion_tokens"] * 10e-6
        assert usd < 0.0035
        assert "Raise max_usd and run again" in done.stderr
        more = limited(1.0)
        assert more.returncode == 0, more.stderr
        assert len(asked(server)) == 2 * n_all


def test_faults_that_pass_change_no_prediction_and_lost_replies_are_unknown_spend(
    desk: Desk,
) -> None:
    passing = ["429 ms", "500", "reset", "html", "cut json", "503", "no choices", None]
    with FaultServer(models=LIVES) as server:
        assert desk.run("--runner", spec(server)).returncode == 0
    whole = {task: r["training"]["prompts"] for task, r in desk.records().items()}
    for name in ("store", "cache"):
        desk.root.joinpath(name).rename(desk.root / f"{name}-whole")
    with FaultServer(faults=passing, only="test item", wait=0.05, models=LIVES) as server:
        done = desk.run("--runner", spec(server))
        assert done.returncode == 0, done.stderr
    assert {task: r["training"]["prompts"] for task, r in desk.records().items()} == whole
    facts = [r["training"]["model"] for r in desk.records().values()]
    assert sum(f["usd_unknown"] for f in facts) > 0
    assert sum(sum(f["retries"].values()) for f in facts) == len(passing) - 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("model=gpt-4o,url=there", "is no URL such as http://host:8000/v1"),
        ("model=gpt-4o,url=http://h:99999/v1", "is no URL such as http://host:8000/v1: Port out"),
        ('model=x,url="http://me:secret@h/v1"', "name a variable with key_variable"),
        ("model=gpt-4o,served_as=x", "give url too"),
        ("model=gpt-4o,concurrency=0", "concurrency = 0 must be at least 1"),
        ("model=gpt-4o,reasoning_effort=low", "gpt-4o-2024-08-06 does not reason: leave it out"),
        ("model=gpt-4o,reasoning_effort=much", "reasoning_effort"),
        ("model=gpt-4o,reasoning_tokens=-1", "must be at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_mend(settings: str, words: str) -> None:
    done = CliRunner().invoke(main, ["run", "--runner", f"openai:{settings}"])
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_are_scored_where_the_endpoint_reads_them_and_its_tokenizer_is_named(
    desk: Desk,
) -> None:
    pytest.importorskip("transformers")
    from llamas import llama3_tokenizer

    desk.names = ("alpha",)
    tokenizer = llama3_tokenizer()
    folder = desk.root / "tokenizer"
    tokenizer.save_pretrained(folder)
    with PretendingServer(tokenizer=tokenizer, key=KEY) as server:
        runner = f"openai:url={server.url},model=tiny-1,key_variable=THE_KEY,tokenizer={folder}"
        done = desk.run("--runner", runner)
        assert done.returncode == 0, done.stderr
        reads = [body for _, body in server.seen if "logprob_token_ids" in body]
    assert len(reads) >= 1 + N, "the probe's, and one for each test example"
    assert desk.records()["alpha"]["training"]["prompts"]["alpha"]["mode"] == "score"
    missing = desk.run("--runner", runner.replace("tokenizer=", "tokenizer=/nowhere"))
    assert missing.returncode == 5
    assert "is not on this machine" in entry(missing)["reason"]


def test_a_mode_that_a_model_cannot_do_is_said(desk: Desk) -> None:
    with FaultServer(models=LIVES) as server:
        done = desk.run("--runner", spec(server, mode="score"))
    assert done.returncode == 3
    assert "mode = 'score' needs" in entry(done)["reason"]


def test_pvi_of_a_model_without_label_probabilities_is_refused_before_anything_is_sent(
    desk: Desk,
) -> None:
    done = desk.site.groupbench(
        *("pvi", "--tasks-dir", desk.tasks, "--task", "alpha", "--store", desk.root / "store"),
        *("--runner", "openai:model=gpt-6-luna,key_variable=THE_KEY"),
        THE_KEY=KEY,
    )
    assert done.returncode == 2
    assert "cannot read those of model = 'gpt-6-luna'" in done.stderr
    assert "Choose one that does: vllm, hf-lm or encoder" in done.stderr


def test_a_tokenizer_that_is_not_here_is_said_and_not_left_out_of_what_is_shown(
    desk: Desk,
) -> None:
    runner = "openai:model=x,url=http://h:1/v1,mode=text,tokenizer=/absent"
    done = desk.site.groupbench("prompt", "alpha", "--tasks-dir", desk.tasks, "--runner", runner)
    assert done.returncode == 2
    assert "tokenizer = '/absent' is not on this machine" in done.stderr


def test_prompts_of_a_preset_are_shown_without_key_or_endpoint(desk: Desk) -> None:
    shown = desk.site.groupbench(
        "prompt", "alpha", "--tasks-dir", desk.tasks, "--runner", "openai:model=gpt-4.1", "--json"
    )
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert document["mode"] == "json"
    assert [m["role"] for m in document["questions"][0]["messages"]] == ["system", "user"]
    unknown = desk.site.groupbench(
        "prompt", "alpha", "--tasks-dir", desk.tasks, "--runner", "openai:model=x,url=http://h/v1"
    )
    assert unknown.returncode == 2
    assert "name one, as mode=text or mode=json" in unknown.stderr


def test_a_cached_run_imports_no_openai(desk: Desk) -> None:
    desk.names = ("alpha",)
    with FaultServer(models=LIVES) as server:
        assert desk.run("--runner", spec(server)).returncode == 0
    given = ["run", "--tasks-dir", str(desk.tasks), "--task", "alpha", "--grouping", "single"]
    given += ["--store", str(desk.root / "store"), "--runner", spec(server)]
    code = (
        "import sys; from click.testing import CliRunner; from groupbench.cli import main\n"
        f"done = CliRunner().invoke(main, {given!r})\n"
        "assert done.exit_code == 0, done.output\n"
        "print(sorted({'openai', 'torch', 'httpx'} & set(sys.modules)))\n"
    )
    told = desk.site.environment(GROUPBENCH_CACHE=str(desk.root / "cache"), THE_KEY=KEY)
    done = subprocess.run(
        [sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
