"""vLLM as a server that we start: its command, its environment, and the service it is.

It runs in an environment of its own, with an interpreter that has vLLM: its exact pins would decide
ours, and GPU memory returns only when a process ends.
"""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.llm.server import LOOPBACK, Launch, ServerProcess, free_port
from groupbench.llm.server_api import ServerError, facts_of
from groupbench.llm.vllm_installation import Installation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DRAIN_SECONDS = 20
"""That vLLM finishes what it has in flight when it is told to stop; without it, calls hang."""

ASSUMED = frozenset(
    {
        *("token_prompts", "batch_prompts", "label_reads", "choice"),
        *("json_schema", "json_compact", "chat", "usage"),
    }
)
"""What a vLLM that has not been started is taken to do, to show prompts."""

_ADAPTERS = "--enable-lora"


def adapter_flags(max_rank: int, target_modules: Sequence[str]) -> tuple[str, ...]:
    """Return the flags of a server that adapters can be loaded into.

    Args:
        max_rank: the largest rank that it makes room for, one of those that vLLM knows.
        target_modules: the maps that adapters change. Without them one request for
            log-probabilities of a prompt kills the engine.
    """
    return (_ADAPTERS, "--max-lora-rank", str(max_rank), "--lora-target-modules", *target_modules)


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """What decides a vLLM server."""

    folder: Path
    """Of the model's files."""
    name: str
    """That the model is served under."""
    dtype: str = "auto"
    max_model_len: int | None = None
    """Tokens of prompt and answer; ``None``: what the model can see."""
    tensor_parallel_size: int = 1
    """GPUs that share each layer."""
    quantization: str = ""
    gpu_memory_utilization: float | None = None
    """Share of each GPU's memory; ``None``: vLLM's own default."""
    flags: tuple[str, ...] = ()
    """More, such as those of adapters."""

    def command(self, vllm: Installation, port: int) -> tuple[str, ...]:
        """Return how it is started; holds no secret."""
        chosen: dict[str, object] = {
            "--model": self.folder,
            "--served-model-name": self.name,
            "--host": LOOPBACK,
            "--port": port,
            # Else the model's own temperature and top_p become the server's defaults.
            "--generation-config": "vllm",
            # Blanks without end are grammatical JSON. Inside a request this key is ignored.
            "--structured-outputs-config": '{"backend":"xgrammar","disable_any_whitespace":true}',
            "--shutdown-timeout": DRAIN_SECONDS,
            "--dtype": self.dtype,
            "--tensor-parallel-size": self.tensor_parallel_size,
        }
        if self.max_model_len is not None:
            chosen["--max-model-len"] = self.max_model_len
        if self.quantization:
            chosen["--quantization"] = self.quantization
        if self.gpu_memory_utilization is not None and not vllm.cpu:
            chosen["--gpu-memory-utilization"] = self.gpu_memory_utilization
        bare = ["--enable-prompt-tokens-details", "--enable-request-id-headers"]
        bare += ["--enforce-eager"] if vllm.cpu else []
        written = [str(part) for pair in chosen.items() for part in pair]
        return (vllm.python, "-m", vllm.entry, *written, *bare, *self.flags)

    def environment(self, vllm: Installation, api_key: str, folder: Path) -> dict[str, str]:
        """Return what its environment holds beside ours.

        Args:
            vllm: the installation.
            api_key: that it demands; never an argument, which all users of the machine can read.
            folder: to write into what the installation lacks.
        """
        told = {
            "VLLM_API_KEY": api_key,
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",  # the model is a folder: there is nothing to fetch
            "PYTHONPATH": "",  # ours is of another environment
        }
        if _ADAPTERS in self.flags:
            told["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"  # on loopback, behind the key
        if vllm.cpu:
            told["VLLM_CPU_KVCACHE_SPACE"] = os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")
        if not vllm.named_vllm:
            told["PYTHONPATH"] = str(_metadata(vllm.version, folder))
        return told


def _metadata(version: str, folder: Path) -> Path:
    """Write metadata named ``vllm``: a build under another name looks for it in vain."""
    version = version if "cpu" in version else f"{version}+cpu"
    info = folder / "metadata" / f"vllm-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    return info.parent


@dataclass(eq=False)
class VllmServer:
    """A vLLM server that lives with the run; a `groupbench.service.Service`."""

    settings: VllmSettings
    python: str = ""
    """The interpreter that has vLLM, as `Installation.of` takes it."""
    ready_seconds: float = 1800.0
    key: str = field(init=False)
    """What decides it."""
    gpus: float = field(init=False)
    """GPUs that it holds: none where vLLM is a build for CPUs."""
    _server: ServerProcess | None = field(default=None, init=False)
    _wanted: object | None = field(default_factory=object, init=False)
    """Of the start that is wanted; ``None`` after a stop."""
    _started: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        cpu = Installation.of(self.python).cpu
        self.gpus = 0 if cpu else self.settings.tensor_parallel_size
        s = self.settings
        facts = [f"dtype={s.dtype}"]
        facts += [f"max_model_len={s.max_model_len}"] if s.max_model_len else []
        facts += [f"tensor_parallel_size={s.tensor_parallel_size}"]
        facts += [f"quantization={s.quantization}"] if s.quantization else []
        facts += [f"gpu_memory_utilization={s.gpu_memory_utilization}"]
        facts += [f"python={self.python}"] if self.python else []
        facts += list(s.flags)
        self.key = f"vLLM serving {s.folder} as {s.name} ({', '.join(facts)})"

    @property
    def process(self) -> ServerProcess | None:
        """The process of the last start."""
        return self._server

    def start(self, folder: Path) -> Mapping[str, str]:
        """Start it and wait until it is ready.

        Returns:
            ``url``, ``api_key``, ``model`` (the name), ``version`` and ``max_model_len``.

        Raises:
            ServerError: it did not start; the message holds the end of its log.
            SettingError: the interpreter has no vLLM.
        """
        with self._lock:
            if self._wanted is None and not self._started:
                raise ServerError("vLLM was stopped before it started.")
            self._started, self._wanted = True, (wanted := object())
        vllm = Installation.of(self.python)
        port, api_key = free_port(), secrets.token_urlsafe(32)
        launch = Launch(
            name="vLLM",
            command=self.settings.command(vllm, port),
            url=f"http://{LOOPBACK}:{port}/v1",
            model=self.settings.name,
            environment=self.settings.environment(vllm, api_key, folder),
            api_key=api_key,
            ready_seconds=self.ready_seconds,
            stop_seconds=DRAIN_SECONDS + 10,
        )
        with self._lock:
            if self._wanted is not wanted:
                raise ServerError("vLLM was stopped while it started.")
            server = self._server = ServerProcess(launch, folder / f"vllm-{port}.log")
        server.start()
        try:
            facts = facts_of(launch.url, self.settings.name, api_key)
        except BaseException:
            server.stop()
            raise
        return {"url": launch.url, "api_key": api_key, **facts}

    def alive(self) -> bool:
        """Return whether it still runs and can be asked."""
        server = self._server
        return server is not None and server.alive() and server.listens()

    def stop(self) -> None:
        """Stop it and all that it started. Safe to call twice, and while it starts."""
        with self._lock:
            self._wanted, server = None, self._server
        if server is not None:
            server.stop()
