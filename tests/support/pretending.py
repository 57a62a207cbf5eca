"""A server on loopback that speaks as vLLM does, or as one that ignores what it does not know.

It pretends to be a model: text is a function of the request. ``ignores`` names fields that it takes
and does not heed; ``refuses`` names those it answers with 400.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

MODEL = "tiny-1"
KEY = "sk-canary-0123456789"

TOKENS = "token ids"
"""In ``refuses``: prompts that are not text."""


@dataclass
class PretendingServer:
    """A context manager; it runs in threads of its own."""

    ignores: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    chats: bool = True
    blanks: bool = False
    """Its JSON under a schema is indented."""
    failing: list[int] = field(default_factory=list)
    """Statuses of the next replies."""
    model: str = MODEL
    """That it says it is."""
    key: str = KEY
    """That it demands."""
    port: int = 0
    """0: any that is free."""
    tokenizer: Any = None
    """With one, ``/tokenize`` is there."""
    too_long: str = ""
    """Prompts whose text holds it overflow the context; needs the tokenizer."""
    by_characters: bool = False
    """Its choices are spelt character by character; needs the tokenizer."""
    seconds: float = 0.0
    """That a reply takes."""
    dies_after: int | None = None
    """So many requests, then the process ends."""
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> Self:
        pretending = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(length))
                if pretending.dies_after is not None:
                    pretending.dies_after -= 1
                    if pretending.dies_after < 0:
                        os._exit(0)
                pretending.seen.append((self.path, body))
                if self.path == "/tokenize" and pretending.tokenizer is not None:
                    ids = pretending.tokenizer(body["prompt"], add_special_tokens=False)
                    self._send(200, {"tokens": list(ids.input_ids)})
                    return
                reply: dict[str, Any]
                if self.headers.get("authorization") != f"Bearer {pretending.key}":
                    status, reply = 401, {"error": "Unauthorized"}
                elif pretending.failing:
                    status, reply = pretending.failing.pop(0), {"error": {"message": "busy"}}
                else:
                    status, reply = pretending.say(self.path, body)
                time.sleep(pretending.seconds)
                self._send(status, reply)

            def do_GET(self) -> None:
                if self.path == "/v1/models":
                    one = {"id": pretending.model, "max_model_len": 4096, "root": "org/tiny"}
                    self._send(200, {"data": [one]})
                elif self.path == "/version":
                    self._send(200, {"version": "0.0.1"})
                else:
                    self._send(200 if self.path == "/health" else 404, {})

            def _send(self, status: int, reply: dict[str, Any]) -> None:
                text = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def say(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body of a reply."""
        if refused := self.refuses & set(body):
            return 400, _error(f"unknown fields {sorted(refused)}")
        heeded = {name: value for name, value in body.items() if name not in self.ignores}
        model = heeded.get("model", self.model)
        if model != self.model:
            return 404, _error("The model does not exist.")
        if path == "/v1/chat/completions":
            return self._chat(heeded) if self.chats else (400, _error("No chat template."))
        prompts = heeded.get("prompt", [""])
        if TOKENS in self.refuses and not all(isinstance(one, str) for one in prompts):
            return 400, _error("Text is wanted.")
        if self.too_long and any(self.too_long in self.tokenizer.decode(ids) for ids in prompts):
            error = _error("This model's maximum context length is 64 tokens.")
            error["error"]["param"] = "input_tokens"
            return 400, error
        choices = [self._complete(i, prompt, heeded) for i, prompt in enumerate(prompts)]
        if TOKENS in self.ignores:  # what is no text becomes text
            prompts = [str(prompt) for prompt in prompts]
        return 200, self._reply(choices, sum(map(_n_tokens, prompts)), heeded)

    def _chat(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        message = {"role": "assistant", "content": self._text(body["messages"], body)}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
        if body.get("logprobs"):
            top = [{"token": "a", "logprob": -0.4}, {"token": "b", "logprob": -1.4}]
            choice["logprobs"] = {"content": [{"top_logprobs": top[: body.get("top_logprobs", 0)]}]}
        return 200, self._reply([choice], 7, body)

    def _complete(self, index: int, prompt: Any, body: dict[str, Any]) -> dict[str, Any]:
        choice = {"index": index, "text": self._text(prompt, body), "finish_reason": "length"}
        if (body.get("structured_outputs") or {}).get("choice"):
            choice["finish_reason"] = "stop"
            if body.get("return_token_ids") and self.tokenizer is not None:
                choice["token_ids"] = self._spelt(prompt, str(choice["text"]))
        if body.get("logprobs") is None:
            return choice
        asked = body.get("logprob_token_ids")
        read = {f"token_id:{i}": log_prob(prompt, i) for i in asked or ()} or {
            f"token_id:{40 + i}": -1.0 - i for i in range(body["logprobs"])
        }
        tokens, values = ["token_id:40"], [-1.0]
        if body.get("echo") and not isinstance(prompt, str):
            before = [log_prob(prompt[:i], prompt[i]) for i in range(1, len(prompt))]
            tokens = [*(f"token_id:{i}" for i in prompt), *tokens]
            values = [None, *before, *values]  # type: ignore[list-item]
        choice["logprobs"] = {"top_logprobs": [read], "tokens": tokens, "token_logprobs": values}
        return choice

    def _spelt(self, prompt: Any, text: str) -> list[int]:
        """Return token ids of an answer after a prompt."""
        if self.by_characters:
            ids = self.tokenizer(list(text), add_special_tokens=False).input_ids
            return [i for each in ids for i in each]
        before = prompt if isinstance(prompt, str) else self.tokenizer.decode(prompt)
        whole = self.tokenizer(before + text, add_special_tokens=False).input_ids
        return [*whole[len(self.tokenizer(before, add_special_tokens=False).input_ids) :], 2]

    def _text(self, prompt: Any, body: dict[str, Any]) -> str:
        if choices := (body.get("structured_outputs") or {}).get("choice"):
            return str(choices[_hash(prompt) % len(choices)])
        if wanted := body.get("response_format"):
            said = {
                name: one["enum"][0] if "enum" in one else True
                for name, one in wanted["json_schema"]["schema"]["properties"].items()
            }
            return json.dumps(said, indent=8 if self.blanks else None)
        seed = body.get("seed", 0) if body.get("temperature") else 0
        return f" word {_hash([prompt, seed]):x}"

    def _reply(self, choices: Any, n_tokens: int, body: dict[str, Any]) -> dict[str, Any]:
        reply = {"model": body.get("model", self.model), "choices": choices}
        if "usage" not in self.ignores:
            reply["usage"] = {"prompt_tokens": n_tokens, "completion_tokens": len(choices)}
        return reply


def log_prob(prompt: Any, token: int) -> float:
    """Return what the pretended model reads: a function of prompt and token."""
    return -3.0 - (_hash([prompt, token]) % 9000) / 1000


def _n_tokens(prompt: Any) -> int:
    return len(prompt)


def _hash(value: Any) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(value).encode()).digest()[:6])


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "code": 400}}
