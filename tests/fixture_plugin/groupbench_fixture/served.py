"""A runner whose fits ask a server that the run starts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.request import urlopen

from groupbench.errors import GroupbenchError, PolicyError
from groupbench.runner import FitResult, Place, Resources
from groupbench_fixture.runner import CountingRunner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.runner import FitRequest
    from groupbench.service import Service

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    left = int(sys.argv[1])
    def do_GET(self):
        if self.path == "/fit":
            Handler.left -= 1
            if Handler.left < 0:
                os._exit(0)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"yes")
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class AnsweringService:
    """A server that says yes, so many times."""

    def __init__(self, runner: ServedRunner) -> None:
        self.key = f"answering:lives={runner.lives},gpus={runner.gpus},number={runner.number}"
        self.gpus = runner.gpus
        self._runner = runner
        self._process: subprocess.Popen[str] | None = None

    def start(self, folder: Path) -> Mapping[str, str]:
        if self._runner.lives < 0:
            raise GroupbenchError("it was told not to.")
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self._runner.lives)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._note("start", self._process.pid)
        assert folder.is_dir()
        assert self._process.stdout is not None
        return {"url": f"http://127.0.0.1:{int(self._process.stdout.readline())}"}

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._note("stop", self._process.pid)
            self._process = None

    def _note(self, what: str, pid: int) -> None:
        if self._runner.diary:
            with Path(self._runner.diary).open("a") as file:
                file.write(json.dumps([what, self.key, pid]) + "\n")


@dataclass(frozen=True)
class ServedRunner(CountingRunner):
    """Guesses, once a server has said yes."""

    name: ClassVar[str] = "served"
    summary: ClassVar[str] = "Guesses with a server's leave; for tests."
    trains: ClassVar[bool] = False
    shares: ClassVar[bool] = False

    diary: str = ""
    """The file that gets a line for each start and stop of a service and each fit."""
    lives: int = 1000
    """How many fits a server survives; below 0 it does not start."""
    gpus: float = 0
    """What the service holds."""
    number: int = 0
    """Tells services apart."""
    price: float = 0.0
    """Of a fit, in dollars."""

    def place(self) -> Place:
        return Place.EXTERNAL if self.price else Place.LOCAL

    def service(self) -> Service:
        return AnsweringService(self)

    def resources(self, *_: object) -> Resources:
        return Resources(lane=f"served {self.number}")

    def fit(self, request: FitRequest) -> FitResult:
        if request.max_usd is not None and self.price > request.max_usd:
            raise PolicyError("max_usd would be passed.")
        began = time.time()
        with urlopen(f"{request.service['url']}/fit", timeout=10) as reply:  # noqa: S310 - our own
            assert reply.read() == b"yes"
        result = super().fit(request)
        if self.diary:
            with Path(self.diary).open("a") as file:
                file.write(json.dumps(["fit", began, time.time()]) + "\n")
        return replace(result, costs=replace(result.costs, usd=self.price))
