"""A server that answers label reads at once, with made-up numbers; run as a program.

It writes its port as its first line, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TOKENS = re.compile(rb'"logprob_token_ids": ?\[([0-9, ]*)\]')
_MODEL = re.compile(rb'"model": ?"([^"]*)"')


def completion(body: bytes) -> bytes:
    """Return a reply that holds what ``body`` wants read, in the shape that vLLM's has."""
    named, wanted = _MODEL.search(body), _TOKENS.search(body)
    read = {
        f"token_id:{i.strip()}": -1.5 for i in (wanted[1].decode() if wanted else "").split(",")
    }
    n = body.count(b"],[") + body.count(b"], [") + 1
    choice = {
        "text": " a",
        "logprobs": {
            "text_offset": [0],
            "token_logprobs": [-1.0],
            "tokens": ["token_id:40"],
            "top_logprobs": [read],
        },
        "finish_reason": "length",
        "stop_reason": None,
        "token_ids": None,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
    }
    reply = {
        "id": "cmpl-0123456789abcdef0123456789abcdef",
        "object": "text_completion",
        "created": 0,
        "model": named[1].decode() if named else "",
        "choices": [{"index": i, **choice} for i in range(n)],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": {
            "prompt_tokens": body.count(b","),
            "total_tokens": body.count(b",") + n,
            "completion_tokens": n,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
        "kv_transfer_params": None,
    }
    return json.dumps(reply, separators=(",", ":")).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what comes over one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            text = completion(body)
            told = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            writer.write(told % len(text) + text)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
