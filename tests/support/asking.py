"""Requests to the fault server, for tests; run as a program, a run that can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_server import MODEL, Seen, completion_of

from groupbench.llm.pace import Patience
from groupbench.llm.requests import Request, Requester
from groupbench.llm.responses import Answer, ResponseStore, Served
from groupbench.llm.secrets import Redactor, read_key
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from groupbench.llm.client import Client, Reply
    from groupbench.llm.replies import Result

KEY = "sk-canary-0123456789+/abc"
SERVED = Served("fault-server", MODEL)
QUICK = Patience(
    attempt_seconds=20, backoff_seconds=0.002, backoff_max_seconds=0.02, max_wait_seconds=5
)


def chat(i: int, **more: Any) -> Request:
    """Return a request for a word."""
    messages = [{"role": "user", "content": f"What is the mood of item {i}?"}]
    body = {"model": MODEL, "messages": messages, "max_completion_tokens": 4, **more}
    return Request("/chat/completions", body, tag=i)


def reads(i: int) -> Request:
    """Return a request for log-probabilities after two prefixes."""
    body: dict[str, Any] = {
        "model": MODEL,
        "prompt": [[1, 2, i], [1, 2, i, 7]],
        "max_tokens": 1,
        "logprob_token_ids": [5, 7],
    }
    return Request("/completions", body, tag=i)


def mixed(n: int) -> Iterable[Request]:
    """Yield requests of both kinds, lazily."""
    return (chat(i) if i % 2 else reads(i) for i in range(n))


def truth(request: Request) -> dict[str, Any]:
    """Return what the server answers where nothing fails."""
    return completion_of(Seen(0.0, request.path, {}, json.loads(json.dumps(request.body)), None))


@dataclass
class Recorder:
    """A client around another: when each call began and ended, and how many were in flight."""

    client: Client
    calls: list[tuple[float, float, Reply | None]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Reply:
        began, reply = time.monotonic(), None
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = await self.client.post(path, body, timeout)
        finally:
            self.in_flight -= 1
            self.calls.append((began, time.monotonic(), reply))
        return reply


def ask(
    url: str,
    requests: Iterable[Request],
    *,
    recorder: list[Recorder] | None = None,
    make: Callable[[str, str], AbstractAsyncContextManager[Client]] = OpenAIClient,
    **parts: Any,
) -> tuple[dict[Any, Result], Requester]:
    """Ask everything through a client, the openai SDK's unless another is given.

    Return the results by tag, and what asked. No result may come twice.
    """
    got: dict[Any, Result] = {}
    rng = random.Random(1)  # noqa: S311 - seeded jitter
    settings = {"patience": QUICK, "rng": rng, "redact": Redactor([KEY]), **parts}

    def take(request: Request, result: Result) -> None:
        assert request.tag not in got, f"{request.tag} was answered twice"
        got[request.tag] = result

    async def run() -> Requester:
        async with make(url, KEY) as client:
            recording = Recorder(client)
            if recorder is not None:
                recorder.append(recording)
            requester = Requester(recording, SERVED, **settings)
            await requester.ask(requests, take)
            return requester

    return got, asyncio.run(run())


def replies(results: Mapping[Any, Result]) -> dict[Any, Any]:
    """Return the bare replies of answers, by tag."""
    return {tag: r.reply if isinstance(r, Answer) else r for tag, r in results.items()}


def main(url: str, store: str, n: int) -> None:
    """Ask ``n`` things with a store; print what came."""
    key = read_key("FAULT_SERVER_KEY", os.environ)
    with ResponseStore(Path(store)) as responses:
        got, _ = ask(url, mixed(n), store=responses, at_once=4, redact=Redactor([key]))
    print(json.dumps(replies(got), sort_keys=True))  # noqa: T201 - its output


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
