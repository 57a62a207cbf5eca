"""What the runner `vllm` asks its server, does not ask again, and computes of its answers."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fault_server import FaultServer
from llamas import llama3_tokenizer, write_without_weights
from pretending import KEY, PretendingServer, log_prob
from sites import Site, write_tasks

from groupbench.cards.card import load_tasks_dir
from groupbench.llm import ChatForm, Mode, PromptBuilder, Served, Wording
from groupbench.llm.responses import response_key
from groupbench.task import Split
from groupbench_vllm.opening import served_of
from groupbench_vllm.runner import VllmRunner

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable
    from pathlib import Path

    from groupbench.llm import Prompt

pytest.importorskip("openai")
pytest.importorskip("transformers")


class Desk:
    """Two tasks, a model, a store and a cache, beside a server that pretends."""

    def __init__(self, site: Site, root: Path) -> None:
        self.site, self.root = site, root
        self.model = write_without_weights(root / "model", "llama3")
        self.tasks = write_tasks(root / "cards", ["alpha", "beta"], n=8)

    def runner(self, server: PretendingServer, more: str = "") -> str:
        where = f"url={server.url},served_as=tiny-1,key_variable=STUB_KEY"
        return f"vllm:model={self.model},{where},mode=score{more}"

    def call(self, verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        done = self.site.groupbench(
            *(verb, "--tasks-dir", self.tasks, "--task", "alpha", "--task", "beta", *arguments),
            *("--store", self.root / "store", "--json"),
            timeout=300,
            STUB_KEY=KEY,
            GROUPBENCH_CACHE=str(self.root / "cache"),
        )
        assert done.returncode == 0, done.stderr
        return done

    def records(self) -> list[dict[str, Any]]:
        paths = (self.root / "store").glob("fits/*/*/result.json")
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    return Desk(site, tmp_path)


def texts(bodies: Iterable[dict[str, Any]]) -> list[str]:
    """Return the first prompt of each label read of a run, but for those of the probe."""
    read = (
        decoded(body["prompt"][0]) for body in bodies if "logprobs" in body
        and "logprob_token_ids" in body
    )  # fmt: skip
    return [text for text in read if "Answer" in text]


def test_what_is_computed_from_scores_costs_no_request(desk: Desk) -> None:
    with PretendingServer(tokenizer=llama3_tokenizer()) as server:
        desk.call("run", "--runner", desk.runner(server, ",concurrency=1"))
        first = texts(body for _, body in server.seen)
        assert sum(" test item " in text for text in first) == 16
        # Prompts that begin alike follow each other: one task after the other, in order.
        named = [text.partition("Sentence: ")[2].split()[0] for text in first if " item " in text]
        assert named in (["alpha"] * 8 + ["beta"] * 8, ["beta"] * 8 + ["alpha"] * 8)
        (facts, _) = [record["training"]["model"] for record in desk.records()]

        server.seen.clear()
        others = ",normalisation=per_byte", ",calibration=content_free"
        runners = [desk.runner(server, other) for other in others]
        done = desk.call("run", *(part for each in runners for part in ("--runner", each)))
        more = texts(body for _, body in server.seen)
    assert [entry["status"] for entry in json.loads(done.stdout)["entries"]] == ["ok"] * 2
    assert not [text for text in more if " test item " in text], "scores are stored"
    assert len(more) == 3, "three inputs that say nothing, and the same for both tasks"

    found = facts["capabilities"]
    assert {"label_reads", "token_prompts", "choice"} <= set(found["can"])
    assert found["lacking"] == {"echo_scores": "not asked: labels can be read"}
    assert (facts["engine"], facts["served_as"], facts["version"]) == ("vllm", "tiny-1", "0.0.1")


def decoded(ids: list[int]) -> str:
    return str(llama3_tokenizer().decode(ids))


class Drifting(PretendingServer):
    """Reads of an example that it has read before are of another mind by some nats."""

    nats = 0.0

    def _complete(self, index: int, prompt: Any, body: dict[str, Any]) -> dict[str, Any]:
        choice = super()._complete(index, prompt, body)
        n_read = sum(prompt in list(other.get("prompt", ())) for _, other in self.seen)
        if n_read > 1 and body.get("logprob_token_ids") and " item " in decoded(prompt):
            read = choice["logprobs"]["top_logprobs"][0]
            read[f"token_id:{body['logprob_token_ids'][0]}"] += self.nats
        return choice


@pytest.mark.parametrize("nats", [0.0, 40.0])
def test_what_is_asked_again_is_compared_and_counted(desk: Desk, nats: float) -> None:
    again = ("run", "--runner")
    with Drifting(tokenizer=llama3_tokenizer()) as server:
        server.nats = nats
        done = desk.call(*again, desk.runner(server, ",concurrency=1,repeat=3"))
        asked = Counter(text for text in texts(body for _, body in server.seen) if " item " in text)
        server.seen.clear()
        shutil.rmtree(desk.root / "store")
        same = desk.call(*again, desk.runner(server, ",concurrency=1,repeat=3"))
        assert not [t for t in texts(body for _, body in server.seen) if " item " in t]
    assert sorted(asked.values()) == [1] * 10 + [2] * 6
    found = [record["training"]["repeat"] for record in desk.records()]
    assert [repetition["n"] for repetition in found] == [3, 3]
    for repetition in found:
        assert repetition["largest_change"] == pytest.approx(nats)
        assert (repetition["n_same"] == 3) == (nats == 0)
    (entry,) = json.loads(done.stdout)["entries"]
    assert entry["scores"] == json.loads(same.stdout)["entries"][0]["scores"]
    told = f"log-likelihoods of labels moved by up to {nats:.2g} nats"
    assert (told in done.stdout) == (nats > 0)


def surprisal(prompt: Prompt) -> np.typing.NDArray[np.float64]:
    """Return the bits of each label that the pretended model has, token by token."""
    (question,) = prompt.questions
    sums = []
    for ids in question.continuations.values():
        whole = [*(question.ids or ()), *ids]
        start = len(whole) - len(ids)
        sums.append(sum(log_prob(whole[:i], whole[i]) for i in range(start, len(whole))))
    scores = np.array(sums)
    return np.asarray(-(scores - np.logaddexp.reduce(scores)) / np.log(2))


def test_in_context_pvi_is_measured_behind_a_server(desk: Desk) -> None:
    rows = desk.root / "rows.parquet"
    with PretendingServer(tokenizer=llama3_tokenizer()) as server:
        done = desk.call("pvi", "--runner", desk.runner(server), "--examples", rows)
    document = json.loads(done.stdout)
    assert (document["null"], document["null_prompt"]) == ("in-context", "instruction")
    assert [row["task"] for row in document["tasks"]] == ["alpha", "beta"]
    (task,) = load_tasks_dir(desk.tasks / "alpha")
    form = ChatForm(llama3_tokenizer())
    builder = PromptBuilder(task, Wording.of(task), Mode.SCORE, form, limit=4096)
    null = surprisal(builder.null())
    examples = {example.id: example for example in task.examples(Split.DEV_B)}
    found = [row for row in pq.read_table(rows).to_pylist() if row["task"] == "alpha"]
    assert len(found) == len(examples) == document["tasks"][0]["n"] > 0
    for row in found:
        gold = task.labels.index(row["label"])
        full = surprisal(builder.build(examples[row["example"]]))
        assert row["pvi"] == pytest.approx(null[gold] - full[gold], abs=1e-4)


@pytest.mark.parametrize(
    ("runner", "most"),
    [("vllm:served_as=tiny-1,mode=text", 64), ("openai:model=tiny-1,mode=text", 16)],
)
def test_so_many_requests_are_in_flight_where_nothing_else_is_said(
    site: Site, tmp_path: Path, runner: str, most: int
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha"], n=most + 20)
    with FaultServer(seconds=0.4) as server:
        done = site.groupbench(
            *("run", "--tasks-dir", tasks, "--task", "alpha", "--store", tmp_path / "store"),
            *("--runner", f"{runner},url={server.url}"),
            GROUPBENCH_CACHE=str(tmp_path / "cache"),
        )
    assert done.returncode == 0, done.stderr
    assert server.most_in_flight == most


def test_answers_are_kept_under_all_that_decides_them_and_nothing_else(tmp_path: Path) -> None:
    folder, other = (
        write_without_weights(tmp_path / "one", "llama3"),
        write_without_weights(tmp_path / "other", "llama3", 1.0),
    )
    moved = write_without_weights(tmp_path / "elsewhere" / "one", "llama3")
    runner = VllmRunner(str(folder), dtype="float32")
    address = {"url": "http://127.0.0.1:1/v1", "api_key": "a", "model": "m", "root": str(folder),
               "version": "0.32.0", "max_model_len": "4096"}  # fmt: skip

    def key(runner: VllmRunner = runner, folder: Path | None = folder, **address_: str) -> str:
        served: Served = served_of(runner, {**address, **address_}, folder)
        return response_key(served, "/completions", {"model": "m", "prompt": [[1]]})

    others = [
        key(folder=other),
        key(replace(runner, dtype="bfloat16")),
        key(replace(runner, quantization="fp8")),
        key(replace(runner, tensor_parallel_size=2)),
        key(version="0.33.0"),
        key(max_model_len="2048"),
        key(replace(runner, url="http://h/v1"), None),
        key(replace(runner, url="http://h/v1"), None, model="n"),
        key(replace(runner, url="http://h/v1"), None, root="org/m"),
    ]
    assert len({key(), *others}) == 1 + len(others)
    assert key() == key(folder=moved, root=str(moved)), "where the files are decides nothing"
    assert key() == key(url="http://127.0.0.1:2/v1", api_key="b")
    assert key() == key(
        replace(runner, concurrency=1, gpu_memory_utilization=0.5, python="/another/python")
    )
