"""The response store: what servers answered, so that nothing is asked or paid twice.

SQLite in WAL mode, on the local disk, one row for each request, written before its answer is used.
Several processes may share it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from groupbench.cache import cache_folder
from groupbench.canonical import to_json
from groupbench.errors import StoreError
from groupbench.llm.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from groupbench.canonical import Json

FORMAT = 1
"""Of keys and rows. A newer one is refused."""

KEPT_HEADERS = ("x-request-id", "openai-processing-ms")

_NOT_DECIDING = frozenset({"stream", "user", "cache_salt"})
_WAIT_SECONDS = 30.0
_TURN_SECONDS = 0.02
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_PRIVATE = 0o600
_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    key TEXT PRIMARY KEY, reply TEXT NOT NULL, headers TEXT NOT NULL,
    model TEXT NOT NULL, fingerprint TEXT, latency_seconds REAL NOT NULL, created TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Served:
    """What answers, as far as answers depend on it. No host, no API key, no time-out."""

    provider: str
    """``openai``, or the engine: ``vllm``."""
    model: str
    """The snapshot asked for, or a hash of the configuration and the weights."""
    adapter: str = ""
    """Hash of its content; empty: none."""
    details: Mapping[str, Json] = field(default_factory=dict)
    """What else decides: engine version, dtype, quantisation; tokenizer and template, if the
    server renders."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete reply."""

    reply: Mapping[str, Any]
    """In the shape of an OpenAI completion."""
    model: str
    """That answered."""
    fingerprint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of `KEPT_HEADERS`, those that came."""
    latency_seconds: float = 0.0
    """Of the attempt that succeeded."""
    created: str = ""
    """When it came: ISO 8601, UTC."""
    replayed: bool = False
    """It came from the store, or was asked for by an equal request: it cost nothing now."""

    @property
    def usage(self) -> Usage | None:
        """Tokens, as the server counted them; ``None`` if it did not."""
        return Usage.of(self.reply)

    @classmethod
    def now(cls, reply: Mapping[str, Any], headers: Mapping[str, str], seconds: float) -> Answer:
        """Return the answer that a reply which came just now is."""
        fingerprint = reply.get("system_fingerprint")
        return cls(
            reply=reply,
            model=str(reply.get("model", "")),
            fingerprint=fingerprint if isinstance(fingerprint, str) else None,
            headers={name: headers[name] for name in KEPT_HEADERS if name in headers},
            latency_seconds=seconds,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def response_key(served: Served, path: str, body: Mapping[str, Json], sample: int = 0) -> str:
    """Return the key of a request: SHA-256 of canonical JSON, in hexadecimal.

    It holds all that may change the answer: what serves, the endpoint, the body, and the number of
    the sample where the same request is asked several times.
    """
    deciding = {name: value for name, value in body.items() if name not in _NOT_DECIDING}
    parts = {
        "format": FORMAT,
        "provider": served.provider,
        "model": served.model,
        "adapter": served.adapter,
        "details": served.details,
        "endpoint": path,
        "body": deciding,
        "sample": sample,
    }
    return hashlib.sha256(_canonical(parts)).hexdigest()


def _canonical(parts: Mapping[str, object]) -> bytes:
    """Return `groupbench.canonical.canonical` of a request, in C where it is plain JSON.

    Prompts are thousands of numbers, and each would be looked at by itself.
    """
    text = json.dumps(
        parts,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=to_json,
    )
    return text.encode("utf-8", "surrogatepass")


def default_path() -> Path:
    """Return where responses are kept unless a setting says otherwise."""
    return cache_folder("responses") / "responses.sqlite"


class ResponseStore:
    """Answers by key. A context manager; to be opened in the process that uses it."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open a store, or make one.

        Args:
            path: of its file.
            read_only: it is there, and only looked into.

        Raises:
            StoreError: it cannot be read or written, or is damaged.
        """
        self.path = path
        at = f"{path.absolute().as_uri()}?mode=r{'o' if read_only else 'w'}"
        try:
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=_PRIVATE, exist_ok=True)  # answers may quote private text
            self._db = sqlite3.connect(at, timeout=_WAIT_SECONDS, isolation_level=None, uri=True)
        except OSError as problem:
            raise self._unusable(problem.strerror or str(problem)) from None
        except sqlite3.Error as problem:
            raise self._unusable(str(problem)) from None
        try:
            self._demand_format()
            if not read_only:
                self._prepare()
        except sqlite3.Error as problem:
            self._db.close()
            raise self._broken(problem) from None
        except StoreError:
            self._db.close()
            raise

    def get(self, key: str) -> Answer | None:
        """Return a stored answer, marked as replayed; ``None`` if there is none.

        Raises:
            StoreError: the store cannot be read, or is damaged.
        """
        try:
            row = self._db.execute(
                "SELECT reply, headers, model, fingerprint, latency_seconds, created"
                " FROM responses WHERE key = ?",
                (key,),
            ).fetchone()
        except sqlite3.Error as problem:
            raise self._broken(problem) from None
        if row is None:
            return None
        try:
            reply, headers = json.loads(row[0]), json.loads(row[1])
        except (ValueError, TypeError):
            raise self._damaged(f"the row {key[:12]} is no JSON") from None
        return Answer(reply, row[2], row[3], headers, row[4], row[5], replayed=True)

    def holds(self, key: str) -> bool:
        """Return whether there is an answer; it is not read.

        Raises:
            StoreError: the store cannot be read, or is damaged.
        """
        try:
            row = self._db.execute("SELECT 1 FROM responses WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as problem:
            raise self._broken(problem) from None
        return row is not None

    def put(self, key: str, answer: Answer) -> Answer:
        """Store an answer; return it, or the one that another process stored first.

        Raises:
            StoreError: it could not be written.
        """
        row = (
            key,
            json.dumps(answer.reply, separators=(",", ":")),
            json.dumps(answer.headers),
            answer.model,
            answer.fingerprint,
            answer.latency_seconds,
            answer.created,
        )
        try:
            done = self._db.execute(
                "INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?)", row
            )
        except sqlite3.Error as problem:
            raise self._broken(problem) from None
        if done.rowcount:
            return answer
        first = self.get(key)
        # Only the answer is the other's: this request was sent and paid for.
        return answer if first is None else replace(first, replayed=False)

    def __len__(self) -> int:
        try:
            n: int = self._db.execute("SELECT count(*) FROM responses").fetchone()[0]
        except sqlite3.Error as problem:
            raise self._broken(problem) from None
        return n

    def close(self) -> None:
        """Close it. Safe to call twice."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _demand_format(self) -> None:
        found: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise StoreError(
                f"Responses {self.path} were written by a newer groupbench (format {found}): "
                "update this one, or choose another file."
            )

    def _prepare(self) -> None:
        self._share()
        # A killed process loses nothing; a power cut may lose the last rows, which are asked again.
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")  # fails now, not after the first answer was paid
            self._db.execute(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def _share(self) -> None:
        """Switch to WAL. SQLite does not wait for its turn here, so we do."""
        give_up = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as problem:
                if problem.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > give_up:
                    raise
                time.sleep(_TURN_SECONDS)
            else:
                break
        if mode != "wal":
            raise self._unusable("this file system cannot share it between processes")

    def _broken(self, problem: sqlite3.Error) -> StoreError:
        """Return what to say of an error of SQLite: the file is damaged, or cannot be used now."""
        damage = getattr(problem, "sqlite_errorname", "").startswith(_DAMAGE)
        return self._damaged(str(problem)) if damage else self._unusable(str(problem))

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(
            f"Responses {self.path} are damaged ({reason}): restore the file or move it away. "
            "What it held will be asked again."
        )

    def _unusable(self, reason: str) -> StoreError:
        return StoreError(
            f"Responses {self.path} cannot be used ({reason}): set GROUPBENCH_CACHE to a folder on "
            "the local disk that can be written."
        )
