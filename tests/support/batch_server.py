"""A server on loopback with the Batch API: files in, answers out in another order, some failing."""

from __future__ import annotations

import http.server
import json
import random
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any, Self
from urllib.parse import parse_qs

from fault_server import Seen, completion_of, usage_of


@dataclass
class BatchServer:
    """A context manager; it runs in threads of its own. What is asked live is answered as well."""

    model: str
    n_looks: int = 1
    """Looks at a batch before it has ended."""
    faults: dict[str, str] = field(default_factory=dict)
    """What becomes of lines whose body holds a text, once each: a status as ``500``, ``expired``,
    ``filter``."""
    refuses: str = ""
    """Why no batch is taken."""
    lacks_batches: bool = False
    """It knows no files and no batches."""
    lose_created: bool = False
    """The reply to the next batch is lost; the batch is there."""
    crowd: int = 0
    """After each batch so many of others are made; they are never answered."""
    lists: list[dict[str, str]] = field(default_factory=list)
    """What was asked of each page of the list of batches."""
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    """All that were sent in batches."""
    live: list[dict[str, Any]] = field(default_factory=list)
    """Bodies that were asked one by one."""
    billed: list[dict[str, Any]] = field(default_factory=list)
    """Usage of each line that was answered."""
    url: str = ""

    def __enter__(self) -> Self:
        serving = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", 0)))
                self._send(*serving.post(self.path, self.headers.get("content-type", ""), raw))

            def do_GET(self) -> None:
                path, _, asked = self.path.partition("?")
                self._send(*serving.get(path, {k: v[0] for k, v in parse_qs(asked).items()}))

            def _send(self, status: int, reply: Any) -> None:
                if status == 0:
                    self.connection.close()
                    self.close_connection = True
                    return
                data = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def post(self, path: str, kind: str, raw: bytes) -> tuple[int, Any]:
        with self._lock:
            if self.lacks_batches and path in {"/v1/files", "/v1/batches"}:
                return 404, {"error": {"message": "Not found."}}
            if path == "/v1/files":
                return self._upload(kind, raw)
            body = json.loads(raw)
            if path == "/v1/batches":
                return self._create(body)
            self.live.append(body)
            return 200, completion_of(Seen(0.0, path, {}, body, None))

    def get(self, path: str, asked: dict[str, str]) -> tuple[int, Any]:
        with self._lock:
            parts = path.removeprefix("/v1/").split("/")
            if parts == ["models"]:
                return 200, {"data": [{"id": self.model}]}
            if parts == ["batches"]:
                return 200, self._list(asked)
            if parts[0] == "batches" and parts[1] in self.batches:
                return 200, self._look(self.batches[parts[1]])
            if parts[0] == "files" and parts[1] in self.files:
                return 200, self.files[parts[1]]
        return 404, {"error": {"message": f"nothing at {path}"}}

    def _list(self, asked: dict[str, str]) -> dict[str, Any]:
        """Return a page, the newest first."""
        self.lists.append(asked)
        listed = list(self.batches.values())[::-1]
        ids = [batch["id"] for batch in listed]
        start = ids.index(asked["after"]) + 1 if "after" in asked else 0
        end = start + int(asked.get("limit", 20))
        return {"data": listed[start:end], "has_more": end < len(listed)}

    def add_batches(self, n: int, *, hours_ago: float = 0.0) -> None:
        """Let others make ``n`` batches, or have made them before."""
        for _ in range(n):
            self._keep_batch({"input_file_id": "file-of-others", "metadata": {}}, hours_ago)

    def _keep_batch(self, body: dict[str, Any], hours_ago: float = 0.0) -> dict[str, Any]:
        batch = {
            "id": f"batch_{len(self.batches)}",
            "status": "validating",
            "input_file_id": body["input_file_id"],
            "metadata": body["metadata"],
            "created_at": int(time.time() - 3600 * hours_ago),
            "looks": 0,
        }
        self.batches[batch["id"]] = batch
        return batch

    def _upload(self, kind: str, raw: bytes) -> tuple[int, Any]:
        parts = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + raw).get_payload()
        found: dict[str, bytes] = {}
        for part in parts:
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
            found[str(name)] = part.get_payload(decode=True)  # type: ignore[union-attr, assignment]
        assert found["purpose"] == b"batch"
        return 200, {"id": self._keep(found["file"].decode())}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        assert body["completion_window"] == "24h"
        if self.refuses:
            return 400, {"error": {"message": self.refuses, "code": "invalid_request"}}
        batch = self._keep_batch(body)
        self.add_batches(self.crowd)
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert {line["url"] for line in lines} == {body["endpoint"]}
        self.lines += lines
        if self.lose_created:
            self.lose_created = False
            return 0, None
        return 200, batch

    def _look(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["looks"] += 1
        if batch["status"] != "completed" and batch["looks"] > self.n_looks:
            self._answer(batch)
        elif batch["status"] != "completed":
            batch["status"] = "in_progress"
        return batch

    def _answer(self, batch: dict[str, Any]) -> None:
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        out, errors = [], []
        for line in lines:
            told = {"id": "x", "custom_id": line["custom_id"], "error": None}
            fault = next((t for t in self.faults if t in json.dumps(line["body"])), None)
            what = self.faults.pop(fault) if fault is not None else ""
            if what == "expired":
                error = {"code": "batch_expired", "message": "not executed in time"}
                errors.append({**told, "response": None, "error": error})
            elif what == "filter":
                error = {"message": "The prompt was filtered.", "code": "content_filter"}
                response = {"status_code": 400, "body": {"error": error}}
                errors.append({**told, "response": response})
            elif what:
                response = {"status_code": int(what), "body": {"error": {"message": "broke"}}}
                errors.append({**told, "response": response})
            else:
                self.billed.append(usage_of(line["body"]))
                reply = completion_of(Seen(0.0, line["url"], {}, line["body"], None))
                out.append({**told, "response": {"status_code": 200, "body": reply}})
        random.Random(1).shuffle(out)  # noqa: S311 - an order
        batch["status"] = "completed"
        for name, rows in (("output_file_id", out), ("error_file_id", errors)):
            if rows:
                batch[name] = self._keep("".join(json.dumps(row) + "\n" for row in rows))

    def _keep(self, text: str) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = text
        return name
