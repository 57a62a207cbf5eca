"""The arms of the label-scoring benchmark: three clients of one server, asked about one task."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import _bare_load
import numpy as np
from _labelling import LABELS, given, request

from groupbench.llm import Prompter
from groupbench.llm.fitting import SCORES
from groupbench.task import Split
from groupbench_openai_client.loopback import LoopbackClient
from groupbench_vllm import opening
from groupbench_vllm.runner import VllmRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _labelling import Shape

    from groupbench.canonical import Json
    from groupbench.llm import Prompt, Reply
    from groupbench.predictions import FloatArray
    from groupbench.runner import FitRequest

KEY_VARIABLE = "GROUPBENCH_BENCHMARK_KEY"
PEER = Path(__file__).with_name("_lm_eval_arm.py")
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Took:
    """What one repetition of an arm took."""

    n_examples: int
    seconds: float
    """Of asking: prompts built or taken as strings, answers read."""
    cpu_seconds: float
    """Of the client's process."""
    hit_rate: float
    """Prompt tokens that the server found in its prefix cache, of all that it looked for."""

    @property
    def per_second(self) -> float:
        """Examples a second."""
        return self.n_examples / self.seconds


@dataclass(frozen=True)
class Server:
    """The server that all arms ask."""

    address: Mapping[str, str]
    """As `VllmServer.start` returned it."""
    folder: Path
    """Of the model."""

    @property
    def url(self) -> str:
        """Of its API."""
        return self.address["url"]

    @property
    def api_key(self) -> str:
        """That it demands."""
        return self.address["api_key"]

    def forget(self) -> None:
        """Empty its prefix cache, so that every repetition finds it alike."""
        self._get("/reset_prefix_cache", method="POST")

    def cache_counts(self) -> tuple[float, float]:
        """Return the prompt tokens it has looked for in the prefix cache, and those it found."""
        counts = {"queries": 0.0, "hits": 0.0}
        for line in self._get("/metrics").splitlines():
            for name in counts:
                if line.startswith(f"vllm:prefix_cache_{name}_total"):
                    counts[name] += float(line.rpartition(" ")[2])
        return counts["queries"], counts["hits"]

    def hit_rate(self, before: tuple[float, float]) -> float:
        """Return the share found since ``before``."""
        queries, hits = self.cache_counts()
        return (hits - before[1]) / max(queries - before[0], 1.0)

    def _get(self, path: str, method: str = "GET") -> str:
        place = self.url.removesuffix("/v1") + path
        asked = HttpRequest(  # noqa: S310 - our own server
            place, method=method, headers={"Authorization": f"Bearer {self.api_key}"}
        )
        with urlopen(asked, timeout=_SECONDS) as reply:  # noqa: S310 - likewise
            text: str = reply.read().decode()
        return text


@dataclass
class Ours:
    """The runner ``vllm``, attached by URL, with an empty response store each time."""

    server: Server
    shape: Shape
    n: int
    seed: int = 0
    """Of the texts and of the shots."""
    runner: VllmRunner = field(init=False)
    asked: FitRequest = field(init=False)
    scores: FloatArray = field(init=False)
    """Of the last repetition: log-likelihoods in nats, shape ``[n, labels]``."""

    def __post_init__(self) -> None:
        os.environ[KEY_VARIABLE] = self.server.api_key
        self.runner = VllmRunner(
            model=str(self.server.folder),
            url=self.server.url,
            served_as=self.server.address["model"],
            key_variable=KEY_VARIABLE,
            mode="score",
            shots=self.shape.shots,
            template="plain",
        )
        with tempfile.TemporaryDirectory() as folder:
            address = self.runner.service().start(Path(folder))
        self.asked = request((given(self.shape, self.n, self.seed),), dict(address))

    def measure(self) -> Took:
        """Ask about every example."""
        self.server.forget()
        before = self.server.cache_counts()
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GROUPBENCH_CACHE"] = folder
            cpu = time.process_time()
            result = self.runner.fit(self.asked)
            cpu = time.process_time() - cpu
        calls = result.costs.calls
        if calls is None or calls.replayed or calls.retries:
            raise SystemExit(f"not every request was sent once: {calls}")
        (task,) = self.asked.tasks
        self.scores = result.arrays[SCORES][f"{task.task.name}.{Split.TEST}.sums"]
        return Took(self.n, result.costs.predict_seconds, cpu, self.server.hit_rate(before))

    def prompts(self) -> list[Prompt]:
        """Return the prompts as they are built."""
        (task,) = self.asked.tasks
        with self.runner.open(self.asked) as model:
            prompter = Prompter.of(self.runner, model.abilities, task, self.asked.seed)
            return list(prompter.prompts(task.predict[Split.TEST]))

    def bodies(self) -> list[bytes]:
        """Return what is sent, in the order in which it is sent."""
        with recorded() as found:
            self.measure()
        return found


@contextmanager
def recorded() -> Iterator[list[bytes]]:
    """Give the bodies that runners ``vllm`` send meanwhile."""
    found: list[bytes] = []

    class Recording(LoopbackClient):
        async def post(self, path: str, body: Mapping[str, Json], timeout: float) -> Reply:
            found.append(json.dumps(body, separators=(",", ":")).encode())
            return await super().post(path, body, timeout)

    before = vars(opening)["client_of"]
    vars(opening)["client_of"] = Recording
    try:
        yield found
    finally:
        vars(opening)["client_of"] = before


def bare(server: Server, bodies: Sequence[bytes], n: int, at_once: int) -> Took:
    """Send bodies that ask about ``n`` examples, and read no reply."""
    server.forget()
    before = server.cache_counts()
    load = _bare_load.send(f"{server.url}/completions", server.api_key, bodies, at_once)
    return Took(n, load.seconds, load.cpu_seconds, server.hit_rate(before))


def shuffled(bodies: Sequence[bytes], seed: int) -> list[bytes]:
    """Return them in random order."""
    return random.Random(seed).sample(list(bodies), len(bodies))  # noqa: S311 - an order


def one_by_one(bodies: Sequence[bytes]) -> list[bytes]:
    """Return a body for each prompt of each: the first of all of them, then the second, ..."""
    found: list[tuple[int, bytes]] = []
    for body in map(json.loads, bodies):
        for i, prompt in enumerate(body["prompt"]):
            found.append((i, json.dumps({**body, "prompt": [prompt]}).encode()))
    return [body for _, body in sorted(found, key=lambda each: each[0])]


class Peer:
    """lm-evaluation-harness in its own environment; a context manager."""

    def __init__(self, python: Path, server: Server, folder: Path) -> None:
        self._python, self._server, self._folder = python, server, folder
        self.version = ""

    def add(self, name: str, prompts: Sequence[Prompt]) -> None:
        """Write a task whose documents are rendered prompts; all before it is started."""
        rows = self._folder / f"{name}.jsonl"
        rows.write_text(
            "".join(
                json.dumps({"prompt": prompt.questions[0].text, "label": 0}) + "\n"
                for prompt in prompts
            )
        )
        # JSON is YAML too
        (self._folder / f"{name}.yaml").write_text(
            json.dumps(
                {
                    "task": name,
                    "dataset_path": "json",
                    "dataset_kwargs": {"data_files": {"test": str(rows)}},
                    "test_split": "test",
                    "output_type": "multiple_choice",
                    "doc_to_text": "{{prompt}}",
                    "doc_to_choice": list(LABELS),
                    "doc_to_target": "label",
                    "target_delimiter": " ",
                    "metric_list": [{"metric": "acc"}],
                }
            )
        )

    def __enter__(self) -> Self:
        home = self._folder / "home"
        self._process = subprocess.Popen(
            [self._python, PEER, self._folder, self._server.url, self._server.folder],
            env={
                **os.environ,
                "OPENAI_API_KEY": self._server.api_key,
                "HF_HOME": str(home),
                "HF_HUB_OFFLINE": "1",
                "HF_DATASETS_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "false",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self._folder / "peer.log").open("wb"),
            text=True,
        )
        self.version = self._line()["version"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_SECONDS)

    def measure(self, name: str, at_once: int) -> tuple[Took, FloatArray]:
        """Return what one evaluation took, and its log-likelihoods."""
        self._server.forget()
        before = self._server.cache_counts()
        asked = {"task": name, "at_once": at_once, "served_as": self._server.address["model"]}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        found = self._line()
        scores = np.asarray(found["scores"])
        rate = self._server.hit_rate(before)
        return Took(len(scores), found["seconds"], found["cpu_seconds"], rate), scores

    def _line(self) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            log = (self._folder / "peer.log").read_text(errors="replace")
            raise SystemExit(f"lm_eval ended:\n{log[-3000:]}")
        return json.loads(line)
