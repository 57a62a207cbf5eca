"""What asking about an example costs the client, rung by rung; run as a program.

    python _client_arm.py '{"url": ..., "shape": "short", "n": 2000, "rungs": ["built", "sent"]}'

It writes the CPU seconds of each rung as JSON: rungs take turns, and medians count. A rung does
what the one before does, and one thing more, so that a difference is what that costs:

- ``built``: prompts are rendered and tokenised;
- ``read``: they become requests, a client in memory answers, and answers become label scores;
- ``stored``: answers are looked for in a response store on disk, and written into it;
- ``sent``: the client is the real one, and a server in another process answers.

``keyed`` is none of them: the keys of the response store alone, which ``read`` computes too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from _labelling import LONG, SHORT, given, tiny_tokenizer

from groupbench.llm import (
    Abilities,
    Client,
    Prompter,
    Redactor,
    Reply,
    Requester,
    Served,
    ServedModel,
    form_of,
)
from groupbench.llm.responses import ResponseStore, response_key
from groupbench.task import Split
from groupbench_openai_client.loopback import LoopbackClient
from groupbench_vllm.runner import VllmRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from groupbench.canonical import Json
    from groupbench.llm import Prompt

MODEL = "tiny"
KEY = "none-of-yours-1234567890"
AT_ONCE = 64
N_SLICES = 9
SERVED = Served("vllm", MODEL)
SHAPES = {shape.name: shape for shape in (SHORT, LONG)}


class Memory:
    """A client that has the reply to everything; it keeps the bodies that it was sent."""

    def __init__(self, reply: Reply, keep: list[Mapping[str, Json]] | None = None) -> None:
        self._reply, self._keep = reply, keep

    async def post(self, path: str, body: Mapping[str, Json], timeout: float) -> Reply:
        del path, timeout
        if self._keep is not None:
            self._keep.append(body)
        await asyncio.sleep(0)
        return self._reply


class Arm:
    """Asks about examples of one shape, whose texts differ from call to call."""

    def __init__(self, url: str, shape: str) -> None:
        self._url, self._shape = url, SHAPES[shape]
        self._seed = count()
        self._reply: Reply | None = None
        self._abilities = Abilities(
            form_of(tiny_tokenizer(), template="plain"),
            4096,
            frozenset({"token_prompts", "batch_prompts", "label_reads", "usage"}),
        )

    def prompts(self, n: int) -> Iterator[Prompt]:
        """Yield prompts that were not asked before; their texts are made at once."""
        runner = VllmRunner(
            model=MODEL, mode="score", shots=self._shape.shots, template="plain", url=self._url
        )
        task = given(self._shape, min(n, 1000), next(self._seed))
        prompter = Prompter.of(runner, self._abilities, task, 0)
        made = 0
        while made < n:  # as many as are wanted, of texts that take no more memory
            for example in task.predict[Split.TEST][: n - made]:
                changed = replace(example, input=f"{example.input} {made}")
                yield prompter.prompt(changed)
                made += 1

    def ask(self, client: Client, n: int, store: ResponseStore | None) -> float:
        """Return the CPU seconds of asking about ``n`` examples."""
        prompts = self.prompts(n)
        first = next(prompts)
        with asyncio.Runner() as loop:
            requester = Requester(
                client, SERVED, store=store, at_once=AT_ONCE, redact=Redactor([KEY])
            )
            model = ServedModel(requester, loop, MODEL, self._abilities)
            before = time.process_time()
            n_read = sum(1 for _ in model.read(_with(first, prompts)))
            seconds = time.process_time() - before
            if isinstance(client, LoopbackClient):
                loop.run(client.__aexit__(None, None, None))
        if n_read != n or requester.totals.answered != n:
            raise SystemExit(f"{requester.totals.answered} of {n} were answered")
        return seconds

    def built(self, n: int) -> float:
        prompts = self.prompts(n)
        next(prompts)
        before = time.process_time()
        n_built = sum(1 for _ in prompts)
        return (time.process_time() - before) * n / n_built

    def keyed(self, n: int) -> float:
        bodies: list[Mapping[str, Json]] = []
        self.ask(Memory(self.reply(), bodies), n, None)
        before = time.process_time()
        for body in bodies:
            response_key(SERVED, "/completions", body)
        return time.process_time() - before

    def read(self, n: int) -> float:
        return self.ask(Memory(self.reply()), n, None)

    def stored(self, n: int) -> float:
        return self._with_store(Memory(self.reply()), n)

    def sent(self, n: int) -> float:
        return self._with_store(LoopbackClient(self._url, KEY), n)

    def reply(self) -> Reply:
        """Return what the server says to the first prompt; it says the like to all."""
        if self._reply is None:
            replies: list[Reply] = []

            class Listening(LoopbackClient):
                async def post(self, path: str, body: Mapping[str, Json], timeout: float) -> Reply:
                    replies.append(await super().post(path, body, timeout))
                    return replies[-1]

            self.ask(Listening(self._url, KEY), 1, None)
            self._reply = replies[0]
        return self._reply

    def _with_store(self, client: Client, n: int) -> float:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            store = stack.enter_context(ResponseStore(Path(folder) / "responses.sqlite"))
            return self.ask(client, n, store)


def _with(first: Prompt, others: Iterator[Prompt]) -> Iterator[Prompt]:
    yield first
    yield from others


def main(asked: Mapping[str, Any]) -> None:
    arm = Arm(asked["url"], asked["shape"])
    rungs: dict[str, Callable[[int], float]] = {name: getattr(arm, name) for name in asked["rungs"]}
    for rung in rungs.values():
        rung(min(asked["n"], 64))  # what is made once, and imported late
    n_slices = N_SLICES if len(rungs) > 1 else 1
    n = -(-asked["n"] // n_slices)
    found: dict[str, list[float]] = {name: [] for name in rungs}
    for _ in range(n_slices):  # in turns, so that a machine's moods meet all of them
        for name, rung in rungs.items():
            found[name].append(rung(n) / n)
    print(json.dumps({name: median(each) * asked["n"] for name, each in found.items()}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
