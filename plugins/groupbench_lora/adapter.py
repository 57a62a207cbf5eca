"""Adapters: made on a model, written into a folder with what they belong to, and read again."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from typing import TYPE_CHECKING, Any

from groupbench.canonical import digest, to_json
from groupbench.code import deciding_code
from groupbench.errors import SettingError, StoreError
from groupbench.llm.prompted import DECIDING
from groupbench.llm.weights import model_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from groupbench.runner import FitRequest
    from groupbench_lora.runner import LoraRunner

SCHEMA = "groupbench/lora/1"
ABOUT = "groupbench.json"
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an adapter belongs to. Anywhere else it would be wrong without a word."""

    base: str
    """Hash of the model's files, tokenizer and template among them."""
    template: str
    """How prompts are rendered."""
    tasks: dict[str, str]
    """Of each task it was trained on, a hash of its data and its wording."""
    prompts: str
    """Hash of the code that makes prompts."""
    settings: str
    """Hash of the runner's settings."""
    peft: str
    """Its version."""
    seed: int
    schema: str = SCHEMA

    @classmethod
    def of(cls, runner: LoraRunner, request: FitRequest, folder: Path, form: str) -> Manifest:
        """Return the manifest of what a fit trains.

        Args:
            runner: configured.
            request: the fit.
            folder: of the model's files.
            form: the name of the prompts' form.
        """
        tasks = {
            given.task.name: digest(
                [
                    runner.task_identity(given.task),
                    sorted([example.id, example.content_hash] for example in given.train),
                ]
            )
            for given in request.tasks
        }
        settings = {f.name: to_json(getattr(runner, f.name)) for f in fields(runner)}
        of_place = ("model", "python", "threads", "concurrency", "gpu_memory_utilization")
        for name in of_place:
            del settings[name]
        return cls(
            base=model_hash(folder),
            template=form,
            tasks=tasks,
            prompts=digest(deciding_code(type(runner), DECIDING)),
            settings=digest(settings),
            peft=metadata.version("peft"),
            seed=request.seed,
        )


def with_adapter(net: Any, runner: LoraRunner) -> Any:  # noqa: ANN401 - transformers has no types
    """Return peft's model: ``net`` with a new adapter in it, which alone is trained.

    Raises:
        SettingError: the model has no such maps, or they are its embeddings.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=runner.r,
        lora_alpha=runner.alpha,
        lora_dropout=runner.dropout,
        target_modules=list(runner.target_modules),
        use_rslora=runner.use_rslora,
        bias="none",
        task_type="CAUSAL_LM",
    )
    _demand_targets(net, runner)
    with warnings.catch_warnings():  # peft still asks for what transformers has renamed
        warnings.simplefilter("ignore", FutureWarning)
        made = get_peft_model(net, config)
    made.peft_config["default"].base_model_name_or_path = runner.model
    return made


def save(made: Any, folder: Path, manifest: Manifest) -> None:  # noqa: ANN401 - as above
    """Write an adapter as peft and vLLM read it, with its manifest beside.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        made.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty form of a model card
        document = {**asdict(manifest), "weights": weights_hash(folder)}
        (folder / ABOUT).write_text(json.dumps(document, indent=1), encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"{folder}: the adapter cannot be written ({problem}).") from problem


def demand_match(folder: Path, manifest: Manifest) -> None:
    """Raise `StoreError` unless the adapter in ``folder`` belongs to what ``manifest`` says."""
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        weights = weights_hash(folder)
    except (OSError, ValueError) as problem:
        raise StoreError(f"{folder}: it holds no adapter of groupbench ({problem}).") from None
    wanted = {**asdict(manifest), "weights": weights}
    for name, value in wanted.items():
        if not isinstance(found, dict) or found.get(name) != value:
            was = found.get(name) if isinstance(found, dict) else None
            raise StoreError(
                f"{folder / ABOUT}: {name} is {_short(was)} and {_short(value)} is wanted: the"
                " adapter was trained for something else, or changed since. Train it again."
            )


def load(net: Any, folder: Path, manifest: Manifest) -> Any:  # noqa: ANN401 - as above
    """Return peft's model: ``net`` with the adapter of ``folder`` in it, ready to compute.

    Raises:
        StoreError: the adapter does not belong to what ``manifest`` says.
    """
    from peft import PeftModel

    demand_match(folder, manifest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return PeftModel.from_pretrained(net, str(folder)).eval()


def weights_hash(folder: Path) -> str:
    """Return a SHA-256 of an adapter's weights.

    Raises:
        OSError: there are none.
    """
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def _demand_targets(net: Any, runner: LoraRunner) -> None:  # noqa: ANN401 - as above
    whole = [net.get_input_embeddings(), net.get_output_embeddings()]
    for target in runner.target_modules:
        named = list(_named(net, target))
        if not named:
            raise SettingError(
                f"target_modules: model = '{runner.model}' has no map whose name ends with"
                f" '{target}'; name its own, such as {', '.join(_linear(net)[:4])}."
            )
        if any(module is each for module in named for each in whole):
            raise SettingError(
                f"target_modules = '{target}' is an embedding or the output layer of model ="
                f" '{runner.model}', and would be served silently wrong; leave it out."
            )


def _named(net: Any, target: str) -> Iterator[Any]:  # noqa: ANN401 - as above
    for name, module in net.named_modules():
        if name == target or name.endswith(f".{target}"):
            yield module


def _linear(net: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return the last names of the linear maps inside layers."""
    found = {
        name.rpartition(".")[2]: None
        for name, module in net.named_modules()
        if type(module).__name__ in {"Linear", "Conv1D"}
        and any(p.isdigit() for p in name.split("."))
    }
    return list(found)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - for a line
