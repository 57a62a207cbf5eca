"""A Hugging Face hub on this machine: data sets whose files are in memory."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Hub:
    """What the hub holds, and what it was asked for."""

    files: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    """By data set, then commit, then path."""
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    """Commits by data set and branch."""
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def put(self, name: str, commit: str, files: dict[str, bytes], branch: str) -> None:
        """Add a commit and let a branch stand at it."""
        self.files.setdefault(name, {})[commit] = files
        self.branches[name, branch] = commit

    def commit(self, name: str, revision: str) -> str | None:
        """Return the commit that a branch or a commit means."""
        commit = self.branches.get((name, revision), revision)
        return commit if commit in self.files.get(name, {}) else None


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub on a port of its own; fill it with `Hub.put`."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hub.address = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """What ``datasets`` asks of the hub."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        path = self.path.partition("?")[0].strip("/").removeprefix("api/")
        self.hub.asked.append(path)
        kind, owner, name, what, revision, *rest = [*path.split("/"), "", "", "", "", ""]
        data_set, revision = f"{owner}/{name}", unquote(revision)
        commit = self.hub.commit(data_set, revision)
        if kind != "datasets" or data_set not in self.hub.files:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif commit is None:
            self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            below = unquote("/".join(rest).strip("/"))
            self.about(what, data_set, commit, below, unquote(body.decode()))

    def about(self, what: str, name: str, commit: str, below: str, body: str) -> None:
        files = self.hub.files[name][commit]
        if what == "resolve" and below in files:
            etag = f'"{commit}{below.replace("/", "-")}"'
            self.send(200, files[below], {"ETag": etag, "X-Repo-Commit": commit})
        elif what == "resolve":
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        elif what == "revision":
            siblings = [{"rfilename": path} for path in files]
            info = {"_id": "1", "id": name, "sha": commit, "siblings": siblings}
            self.send(200, json.dumps(info).encode())
        elif what == "tree":
            entries = [e for e in _entries(files) if not below or e["path"].startswith(f"{below}/")]
            if entries:
                self.send(200, json.dumps(entries).encode())
            else:
                self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        else:  # paths-info
            named = [entry for entry in _entries(files) if entry["path"] in _wanted(body)]
            self.send(200, json.dumps(named).encode())

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


def _wanted(body: str) -> set[str]:
    try:
        paths = json.loads(body)["paths"]
        return set([paths] if isinstance(paths, str) else paths)
    except ValueError:  # a form
        return {part.partition("=")[2] for part in body.split("&") if part.startswith("paths=")}


def _entries(files: dict[str, bytes]) -> list[dict[str, str]]:
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    listed: list[dict[str, str]] = [
        {"type": "directory", "path": path, "oid": path} for path in sorted(folders)
    ]
    listed += [
        {"type": "file", "path": path, "oid": path, "size": len(data)}  # type: ignore[dict-item] # a size is a number
        for path, data in files.items()
    ]
    return listed
