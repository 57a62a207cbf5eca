"""An OpenAI-compatible server on this machine that fails as it is told to.

Standard library only. It answers as a function of the request, counts tokens, logs every request
with its headers and times, and takes one fault from its list for each request it gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MODEL = "tiny-1"
WORDS = ("positive", "negative", "neutral", "mixed")

RATE_LIMITS = (
    "429",
    "429 seconds",
    "429 ms",
    "429 date",
)
TRANSIENT = (
    *RATE_LIMITS,
    "408",
    "500",
    "503",
    "reset",
    "hang",
    "drip",
    "html",
    "cut json",
    "short body",
    "no choices",
)
"""Faults after which the same request may be answered."""
STOPPING = ("429 long", "insufficient_quota", "401", "404", "other model")
SKIPPING = ("context openai", "context vllm", "filtered prompt")
ODD = ("null content", "refusal", "content_filter", "length", "no usage")
"""Complete replies that hold no ordinary answer."""


@dataclass
class Seen:
    """One request that came, and what became of it."""

    at: float
    """`time.monotonic`, when its body had come."""
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    fault: str | None
    done: float = 0.0
    """When its reply had been written."""
    billed: dict[str, Any] | None = None
    """Usage that the server would bill."""
    said: bool = False
    """The client could read that usage."""

    @property
    def key(self) -> str:
        return json.dumps([self.path, self.body], sort_keys=True)


class Shape(Protocol):
    """How another provider is asked, and answers."""

    def asked(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a request of the provider's as OpenAI's API would have it."""
        ...

    def said(self, status: int, reply: dict[str, Any]) -> dict[str, Any]:
        """Return a reply of OpenAI's API as the provider would give it."""
        ...


@dataclass
class FaultServer:
    """A context manager; it runs in a thread of its own."""

    faults: Iterable[str | None] = ()
    """One for each request, in the order they come; then none."""
    seconds: float = 0.0
    """That an answer takes."""
    wait: float = 0.3
    """What ``Retry-After`` asks for where a fault does not fix it."""
    drip_seconds: float = 0.05
    """Between the bytes of a dripping reply."""
    remaining: int | None = None
    """Sent as ``x-ratelimit-remaining-requests``."""
    only: str = ""
    """Faults are for requests whose body holds this text."""
    models: dict[str, dict[str, Any]] = field(default_factory=lambda: {MODEL: {}})
    """What ``/models`` lists: more of each, by name."""
    shape: Shape | None = None
    """Another provider's way to ask and to answer."""
    models_status: int = 200
    """Of ``/models``."""
    connections: int = 0
    """That were opened."""
    gets: list[str] = field(default_factory=list)
    """Paths of the requests without a body, which take no fault."""
    seen: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""

    def __enter__(self) -> Self:
        self._faults: Iterator[str | None] = iter(self.faults)
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def billed(self, *, said: bool) -> dict[str, int]:
        """Return the sums of usage: all that is billed, or what the client could read of it."""
        sums = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
        for one in self.seen:
            if one.billed is None or (said and not one.said):
                continue
            sums["prompt_tokens"] += one.billed["prompt_tokens"]
            sums["completion_tokens"] += one.billed["completion_tokens"]
            sums["cached_tokens"] += one.billed["prompt_tokens_details"]["cached_tokens"]
        return sums

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 24)
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in self._connections:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._request(reader, writer):
                    pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection can take another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path = head[0].split()[:2]
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET":
            self.gets.append(path)
            await self._list(headers, writer)
            return True
        fault = next(self._faults, None) if self.only in body.decode() else None
        asked = json.loads(body or b"{}")
        if self.shape is not None:
            asked = self.shape.asked(asked)
        seen = Seen(time.monotonic(), path, headers, asked, fault)
        self.seen.append(seen)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._reply(seen, reader, writer)
        finally:
            self.in_flight -= 1
            seen.done = time.monotonic()

    async def _list(self, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        """Answer ``/models``."""
        listed = [{"id": name, "object": "model", **more} for name, more in self.models.items()]
        text = json.dumps({"object": "list", "data": listed})
        if self.models_status != 200:
            text = _error(f"No list for {headers.get('authorization', '')}.", "not_listed")
        lines = [f"HTTP/1.1 {self.models_status} Said", f"content-length: {len(text.encode())}"]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + text.encode())
        await writer.drain()

    async def _reply(
        self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if seen.fault == "hang":
            seen.billed = usage_of(seen.body)
            await reader.read(1)  # until the client leaves
            return False
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if seen.fault == "reset":
            seen.billed = usage_of(seen.body)
            writer.transport.abort()
            return False
        status, more, text = self._say(seen)
        if status == 200:
            seen.billed = usage_of(seen.body)
            seen.said = seen.fault not in _UNSAID
        if self.shape is not None:
            with contextlib.suppress(ValueError):  # what is broken stays broken
                text = json.dumps(self.shape.said(status, json.loads(text)))
        data = text.encode()
        length = len(data) + (10 if seen.fault == "short body" else 0)
        lines = [f"HTTP/1.1 {status} Said", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in more.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        if seen.fault == "drip":
            for i in range(len(data)):
                writer.write(data[i : i + 1])
                await writer.drain()
                await asyncio.sleep(self.drip_seconds)
        else:
            writer.write(data)
        await writer.drain()
        return seen.fault != "short body"

    def _say(self, seen: Seen) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body."""
        headers = {
            "content-type": "application/json",
            "date": formatdate(usegmt=True),
            "x-request-id": f"req-{len(self.seen)}",
        }
        if self.remaining is not None:
            headers["x-ratelimit-remaining-requests"] = str(self.remaining)
        fault = seen.fault or ""
        if fault in RATE_LIMITS or fault == "429 long":
            return 429, headers | self._retry_after(fault), _error("slow down", "rate_limited")
        if fault in _ERRORS:
            status, text = _ERRORS[fault]
            return status, headers, text
        if fault == "401":
            key = seen.headers.get("authorization", "")
            return 401, headers, _error(f"Incorrect API key provided: {key}.", "invalid_api_key")
        if fault == "html":
            return 200, headers | {"content-type": "text/html"}, "<html>Welcome</html>"
        completion = json.dumps(completion_of(seen))
        if fault == "cut json":
            return 200, headers, completion[: len(completion) // 2]
        return 200, headers, completion

    def _retry_after(self, fault: str) -> dict[str, str]:
        match fault:
            case "429 seconds":
                return {"retry-after": f"{self.wait:g}"}
            case "429 ms":
                return {"retry-after-ms": f"{1000 * self.wait:.0f}"}
            case "429 date":  # whole seconds
                return {"retry-after": formatdate(time.time() + 1, usegmt=True)}
            case "429 long":
                return {"retry-after": "9999"}
        return {}


def completion_of(seen: Seen) -> dict[str, Any]:
    """Return the completion that a request gets: a function of its body and fault."""
    body, fault = seen.body, seen.fault
    reply: dict[str, Any] = {
        "id": "cmpl-1",
        "model": "another" if fault == "other model" else body.get("model", MODEL),
        "system_fingerprint": "fp_1",
        "usage": usage_of(body),
        "choices": _choices(body),
    }
    first = reply["choices"][0]
    match fault:
        case "no choices":
            reply["choices"] = []
        case "no usage":
            del reply["usage"]
        case "null content":
            first["message"]["content"] = None
        case "refusal":
            first["message"] |= {"content": None, "refusal": "I cannot help with that."}
        case "content_filter" | "length":
            first["finish_reason"] = fault
    return reply


def usage_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the tokens that a request costs, counted from it alone."""
    prompts = body.get("prompt")
    if isinstance(prompts, list):
        tokens_in, tokens_out = sum(len(p) for p in prompts), len(prompts)
    else:
        texts = [str(message["content"]) for message in body.get("messages", [])]
        tokens_in, tokens_out = sum(4 + len(text.split()) for text in texts), 2
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": tokens_in // 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def _choices(body: dict[str, Any]) -> list[dict[str, Any]]:
    if "prompt" in body:
        return [_read(i, prompt, body) for i, prompt in enumerate(body["prompt"])]
    word = written(body)
    message = {"role": "assistant", "content": word, "refusal": None}
    return [{"index": 0, "message": message, "finish_reason": "stop"}]


def written(body: dict[str, Any]) -> str:
    """Return what a chat request is answered: a function of what it asks, and in its form."""
    number = _hash(body["messages"])
    if choices := (body.get("structured_outputs") or {}).get("choice"):
        return str(choices[number % len(choices)])
    if wanted := body.get("response_format"):
        said = {}
        for i, (name, one) in enumerate(wanted["json_schema"]["schema"]["properties"].items()):
            if "enum" in one:
                said[name] = one["enum"][number % len(one["enum"])]
            elif one["type"] == "boolean":
                said[name] = bool(number >> i & 1)
            else:
                said[name] = [_entity(body["messages"], one["items"]["properties"], number)]
        return json.dumps(said)
    return WORDS[number % len(WORDS)]


def _entity(messages: list[dict[str, str]], of: dict[str, Any], number: int) -> dict[str, str]:
    """Return an entity that is a word of the sentence in the last message."""
    sentence = messages[-1]["content"].partition("Sentence: ")[2].partition("\n")[0].split()
    kinds = of["type"]["enum"]
    return {"text": sentence[number % len(sentence)], "type": kinds[number % len(kinds)]}


def _read(index: int, prompt: list[int], body: dict[str, Any]) -> dict[str, Any]:
    """Return a choice with the log-probability of every id that was asked for, as vLLM does."""
    asked = body.get("logprob_token_ids", [])
    read = {f"token_id:{i}": -1e-3 * (1 + _hash([prompt, i]) % 9000) for i in asked}
    logprobs = {"top_logprobs": [read], "tokens": ["token_id:7"], "token_logprobs": [-0.5]}
    return {"index": index, "text": " x", "finish_reason": "length", "logprobs": logprobs}


def _hash(value: Any) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(value).encode()).digest()[:6])


def _error(message: str, code: Any, **more: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "error", "code": code, **more}})


_ERRORS = {
    "insufficient_quota": (429, _error("You exceeded your quota.", "insufficient_quota")),
    "context openai": (
        400,
        _error(
            "This model's maximum context length is 8192 tokens.",
            "context_length_exceeded",
            param="messages",
        ),
    ),
    "context vllm": (
        400,
        _error(
            "This model's maximum context length is 4096 tokens. However, your request has 5000 "
            "input tokens.",
            400,
            param="input_tokens",
        ),
    ),
    "filtered prompt": (400, _error("The prompt was filtered.", "content_filter")),
    "404": (404, _error("The model `tiny-1` does not exist.", "model_not_found")),
    "408": (408, _error("Request timed out.", None)),
    "500": (500, _error("EngineCore encountered an issue.", 500)),
    "503": (503, "<html>upstream is busy</html>"),
}
_UNSAID = frozenset({"html", "cut json", "short body", "drip", "no usage", "no choices"})
