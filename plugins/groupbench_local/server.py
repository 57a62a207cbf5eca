"""The process that starts fits: libraries imported once, then a fork for each fit.

It has one thread and no state but its children. It holds them to their limits, reaps them with
all they started, and kills them when the session's process is gone, however that ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import shutil
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groupbench_local.machine import count_oom_kills
from groupbench_local.processes import kill, kill_group, kill_rest, resident_bytes
from groupbench_local.wire import Config, End, Start, as_message, receive, send

MAX_LOG_BYTES = 16 << 20
"""A log that grows past this begins anew: only its end is ever shown."""
WATCH_SECONDS = 0.1
"""How often memory and logs are looked at, while there is something to look at."""
MAX_SHARE = 0.03
"""Of one core, for looking."""
ALWAYS = (
    "groupbench.execute",
    "groupbench.predictions_table",
    "pyarrow.parquet",
    "safetensors.numpy",
)
"""What every fit needs to write its results."""


@dataclass
class _Running:
    start: Start
    pid: int
    began: float
    oom_kills: tuple[int, ...]
    peak_memory_bytes: int = 0
    timed_out: bool = False
    over_memory: bool = False


def serve(options: dict[str, Any]) -> None:
    """Serve one session until it is closed or its process dies."""
    config = Config(**options)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in (*ALWAYS, *config.preload):
        # What is missing here is missed again, and explained, by the fit that needs it.
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page that fits share
    server = _Server(config)
    try:
        server.run()
    finally:
        server.end_all()
        shutil.rmtree(config.scratch, ignore_errors=True)


class _Server:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.control = socket.socket(fileno=config.control)
        self.oom_counters = tuple(map(Path, config.oom_counters))
        self.running: dict[int, _Running] = {}
        """By process id."""
        self.own_life, self.life_end = os.pipe()
        self.wakeup, self.wakeup_end = os.pipe()
        for end in (self.wakeup, self.wakeup_end):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup_end, warn_on_full_buffer=False)

    def run(self) -> None:
        send(self.control, {"kind": "ready"})
        looked_at = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self.control, selectors.EVENT_READ)
            selector.register(self.wakeup, selectors.EVENT_READ)
            selector.register(self.config.lifeline, selectors.EVENT_READ)
            pause = WATCH_SECONDS
            while True:
                ready = {key.fd for key, _ in selector.select(self._patience(pause))}
                if self.config.lifeline in ready:
                    return  # before what it still asked for is started
                if self.wakeup in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wakeup, 4096)
                self._reap()
                if self.control.fileno() in ready:
                    try:
                        received = receive(self.control)
                    except (EOFError, OSError):
                        return
                    if received is None:
                        return
                    self._start(*received)
                now = time.monotonic()
                self._end_overdue(now)
                if self.running and now - looked_at >= pause:
                    spent = time.process_time()
                    self._look()
                    pause = max(WATCH_SECONDS, (time.process_time() - spent) / MAX_SHARE)
                    looked_at = time.monotonic()

    def end_all(self) -> None:
        """Kill every fit and wait until all are gone."""
        for pid in self.running:
            kill_group(pid)
        for pid in self.running:
            kill_rest(pid)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self.running.clear()

    def _patience(self, pause: float) -> float | None:
        """Return how long nothing needs to be done, in seconds."""
        if not self.running:
            return None
        now = time.monotonic()
        deadlines = [
            running.began + running.start.max_seconds - now
            for running in self.running.values()
            if running.start.max_seconds is not None and not running.timed_out
        ]
        if any(running.start.max_memory_bytes for running in self.running.values()):
            deadlines.append(pause)
        return max(0.0, min([*deadlines, 1.0]))

    def _start(self, message: dict[str, Any], job: int) -> None:
        start = Start(**{name: value for name, value in message.items() if name != "kind"})
        oom_kills = count_oom_kills(self.oom_counters)
        try:
            pid = os.fork()
        except OSError as problem:
            os.close(job)
            end = End(start.id, 0, 1, 0.0, 0)
            reason = f"no process could be started: {problem.strerror}"
            send(self.control, as_message("end", end) | {"reason": reason})
            return
        if pid == 0:
            self._become(start, job)
        os.close(job)
        self.running[pid] = _Running(start, pid, time.monotonic(), oom_kills)
        send(self.control, {"kind": "started", "id": start.id, "pid": pid})

    def _become(self, start: Start, job: int) -> None:
        """Turn this process, just forked, into a fit's. Never returns."""
        status = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for end in (self.life_end, self.wakeup, self.wakeup_end):
                os.close(end)
            self.control.close()
            from groupbench_local.child import work

            status = work(start, job, (self.config.lifeline, self.own_life))
        except BaseException:  # noqa: BLE001 - said in the log, which the session reads
            traceback.print_exc()
        finally:
            # Whatever happens, this copy of the server's stack is not to unwind.
            os._exit(status)

    def _end_overdue(self, now: float) -> None:
        """Kill fits whose time is over."""
        for pid, running in self.running.items():
            limit = running.start.max_seconds
            if limit is not None and now - running.began >= limit and not running.timed_out:
                running.timed_out = True
                kill(pid)

    def _look(self) -> None:
        """Kill fits that hold too much memory; begin logs anew that grew too long."""
        limited = any(running.start.max_memory_bytes for running in self.running.values())
        held = resident_bytes() if limited else {}
        for pid, running in self.running.items():
            running.peak_memory_bytes = max(running.peak_memory_bytes, held.get(pid, 0))
            start = running.start
            if start.max_memory_bytes is not None and held.get(pid, 0) > start.max_memory_bytes:
                running.over_memory = True
                kill(pid)
            with contextlib.suppress(OSError):
                if os.stat(start.log).st_size > MAX_LOG_BYTES:  # noqa: PTH116 - often
                    os.truncate(start.log, 0)

    def _reap(self) -> None:
        """Report every fit that has ended."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            running = self.running.pop(pid, None)
            if running is None:
                continue
            kill_rest(pid)
            unit = 1 if sys.platform == "darwin" else 1024
            end = End(
                id=running.start.id,
                pid=pid,
                status=os.waitstatus_to_exitcode(status),
                seconds=time.monotonic() - running.began,
                peak_memory_bytes=max(running.peak_memory_bytes, usage.ru_maxrss * unit),
                timed_out=running.timed_out,
                over_memory=running.over_memory,
                oom_killed=any(
                    after > before
                    for after, before in zip(
                        count_oom_kills(self.oom_counters), running.oom_kills, strict=True
                    )
                ),
            )
            with contextlib.suppress(OSError):  # the session is gone: its end is read next
                send(self.control, as_message("end", end))
