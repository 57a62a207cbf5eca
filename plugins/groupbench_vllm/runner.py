"""The runner ``vllm``: its settings, and what can be said without a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import urlsplit

from groupbench.errors import SettingError
from groupbench.llm.presets import demand_model, source_of
from groupbench.llm.prompted import DECIDING, PromptedRunner
from groupbench.llm.secrets import demand_variable, read_key
from groupbench.llm.vllm_installation import Installation, n_gpus
from groupbench.llm.vllm_server import VllmSettings
from groupbench.llm.weights import model_hash
from groupbench.model_files import MissingModelError
from groupbench.runner import Place, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.grouping import Group
    from groupbench.llm.answered import StoredAnswers
    from groupbench.llm.model import Abilities, Model
    from groupbench.llm.weights import OpenModel
    from groupbench.runner import FitRequest
    from groupbench.service import Service
    from groupbench.suite import Suite

NEEDED = ("aiohttp", "openai", "transformers", "jinja2")


@dataclass(frozen=True)
class VllmRunner(PromptedRunner):
    """Prompts a language model that a vLLM server serves."""

    name: ClassVar[str] = "vllm"
    summary: ClassVar[str] = "Llama 2, Llama 3 and others, prompted behind a vLLM server"
    deciding_modules: ClassVar[tuple[str, ...]] = (
        *DECIDING,
        "groupbench.llm.prompt_requests",
        "groupbench.llm.served",
        "groupbench.llm.vllm_server",
    )

    model: str = field(default="", metadata={"in_label": True})
    """A preset, a folder, or a hub id that @REVISION may follow."""
    url: str = field(default="", metadata={"in_key": False})
    """Attach to the server at this URL, as http://host:8000/v1, instead of starting one."""
    served_as: str = ""
    """The name the server at url knows the model by, where it is not the model's."""
    key_variable: str = field(default="", metadata={"in_key": False})
    """The environment variable that holds the API key of url; empty: it wants none."""
    python: str = field(default="", metadata={"in_key": False})
    """The interpreter that has vLLM; default: $GROUPBENCH_VLLM_PYTHON, else this one."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """How prompts are rendered; auto: with the tokenizer's chat template if it has one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Of weights and activations; auto: as the model was saved."""
    max_model_len: int | None = None
    """Tokens that the server makes room for; default: what the model can see."""
    tensor_parallel_size: int = 1
    """GPUs that share each layer."""
    quantization: str = ""
    """As vLLM names it, such as fp8; empty: as the model was saved."""
    gpu_memory_utilization: float | None = field(default=None, metadata={"in_key": False})
    """Share of each GPU's memory that vLLM takes; default: its own."""
    concurrency: int = field(default=64, metadata={"in_key": False})
    """Most requests in flight."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_model_len", "tensor_parallel_size", "concurrency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value} must be at least 1")
        demand_variable("key_variable", self.key_variable)
        share = self.gpu_memory_utilization
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"gpu_memory_utilization = {share} must be above 0 and at most 1")
        if self.url:
            parts = urlsplit(self.url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError(f"url = '{self.url}' is no URL such as http://host:8000/v1")
            if parts.username or parts.password:
                raise ValueError("url must hold no password: name a variable with key_variable")
            if self.python:
                raise ValueError("url attaches to a server and python starts one: leave one out")
        elif self.served_as or self.key_variable:
            raise ValueError("served_as and key_variable are of a server at url: give url too")

    @property
    def source(self) -> OpenModel:
        """Where the model's files come from."""
        return source_of(self.model)

    def availability(self) -> str | None:
        """Return why it cannot run here, with the mend; asks no network and no server."""
        for module in NEEDED:
            if find_spec(module) is None:
                return f"{module} is not installed: pip install 'groupbench[llm]'"
        try:
            if self.url:
                if self.key_variable:
                    read_key(self.key_variable)
                return None
            vllm = Installation.of(self.python)
            demand_model(self.model)
        except SettingError as missing:
            return str(missing).removesuffix(".")
        if not vllm.cpu and n_gpus() < self.tensor_parallel_size:
            return (
                f"vLLM needs {self.tensor_parallel_size} GPUs and this machine has {n_gpus()}:"
                " run it where they are and attach with url="
            )
        return None

    def place(self) -> Place:
        """Return where text goes: to our own server, or to the URL that was named."""
        return Place.ENDPOINT if self.url else Place.LOCAL

    def resources(self, group: Group, suite: Suite) -> Resources:  # noqa: ARG002 - the contract
        """Return what a fit needs; those of one model wait for one server."""
        return Resources(lane=f"vllm {self.url or self.model}")

    def service(self) -> Service:
        """Return the server: ours, or the attached one, which is probed once for all fits."""
        if self.url:
            from groupbench_vllm.attached import AttachedServer

            names = (self.served_as,) if self.served_as else (self.model, self.source.name)
            return AttachedServer(
                self.url, tuple(dict.fromkeys(filter(None, names))), self.key_variable
            )
        from groupbench_openai_client.probing import ProbedServer

        settings = VllmSettings(
            folder=self.source.fetch(),
            name=self.source.name.rstrip("/").rpartition("/")[2] or "model",
            dtype=self.dtype,
            max_model_len=self.max_model_len,
            tensor_parallel_size=self.tensor_parallel_size,
            quantization=self.quantization,
            gpu_memory_utilization=self.gpu_memory_utilization,
        )
        return ProbedServer(settings, self.python)

    def identity(self) -> Mapping[str, Json]:
        """Return what decides the results: the model's hash, and the build of vLLM.

        Of an attached server only the name is known before it is asked, and where it serves a
        single model, which needs no name, only where it is.
        """
        if self.url:
            folder = self.found_folder()
            named = bool(self.served_as or self.model)
            return {
                "tokenizer": "" if folder is None else model_hash(folder),
                "served_at": "" if named else self.url,
            }
        vllm = Installation.of(self.python)
        return {
            "weights": model_hash(self.source.fetch()),
            "vllm": vllm.version,
            "device": "cpu" if vllm.cpu else "gpu",
        }

    def abilities(self) -> Abilities:
        """Return what decides the prompts: as the server last was, else as a vLLM of today is.

        Raises:
            MissingModelError: the model's tokenizer is not on this machine.
        """
        from groupbench_vllm.opening import assumed

        return assumed(self)

    def stored_answers(self) -> StoredAnswers | None:
        """Return where answers are looked for, by what the server last said of itself."""
        from groupbench_vllm.opening import stored_answers

        return stored_answers(self)

    def open(self, request: FitRequest) -> AbstractContextManager[Model]:
        """Return the model behind the service of the request."""
        from groupbench_vllm.opening import opened

        return opened(self, request)

    def found_folder(self) -> Path | None:
        """Return the model's folder; ``None`` where a server at a URL serves what is not here."""
        try:
            return self.source.fetch() if not self.url else self.source.find()
        except MissingModelError:
            if not self.url:
                raise
            return None
