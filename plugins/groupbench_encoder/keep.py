"""Keeping a fit's weights as files, and making the model of them again.

The folder is one that ``transformers`` reads (``config.json``, ``model.safetensors``, tokenizer
files), with ``heads.safetensors`` and ``groupbench.json`` beside.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from groupbench.errors import StoreError
from groupbench_encoder import build
from groupbench_encoder.encode import Limits
from groupbench_encoder.prepare import Prepared
from groupbench_encoder.subwords import Subwords
from groupbench_encoder.trainable import EncoderModel

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

    from groupbench.runner import FitRequest
    from groupbench_encoder.model import GroupModel
    from groupbench_encoder.runner import EncoderRunner

SCHEMA = "groupbench/encoder/1"
ABOUT = "groupbench.json"
HEADS = "heads.safetensors"


def save(
    model: GroupModel,
    tokenizer: PreTrainedTokenizerBase,
    settings: EncoderRunner,
    max_length: int,
    folder: Path,
) -> None:
    """Write a trained model into ``folder``.

    Raises:
        StoreError: it cannot be written.
    """
    from safetensors.torch import save_file

    about = {
        "schema": SCHEMA,
        "tasks": {
            name: {"kind": str(kind), "labels": list(model.labels[name])}
            for name, kind in model.kinds.items()
        },
        "pooling": model.pooling,
        "max_length": max_length,
        "long_inputs": settings.long_inputs,
        "stride": settings.stride,
        "base": settings.model,
    }
    encoder: Any = model.encoder
    try:
        encoder.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        heads = {name: tensor.contiguous() for name, tensor in model.heads.state_dict().items()}
        save_file(heads, str(folder / HEADS))
        (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"{folder}: the weights cannot be written ({problem}).") from problem


def restore(settings: EncoderRunner, request: FitRequest, folder: Path) -> EncoderModel:
    """Return the model of ``request`` with the weights that a fit kept in ``folder``.

    Raises:
        StoreError: the folder does not hold the weights of a fit of these tasks.
    """
    import torch
    from safetensors.torch import load_file

    from groupbench_encoder.training import plan_of

    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        heads = load_file(str(folder / HEADS))
    except (OSError, ValueError) as problem:
        raise StoreError(f"{folder}: it holds no kept weights ({problem}).") from problem
    kept = {name: task["labels"] for name, task in about["tasks"].items()}
    asked = {given.task.name: list(given.task.labels) for given in request.tasks}
    if kept != asked:
        raise StoreError(f"{folder}: its weights are of {sorted(kept)}, not of {sorted(asked)}.")
    torch.set_num_threads(settings.threads)  # as in a fit; probes compute after this returns
    with build.quiet():
        device = settings.computes_on()
        tokenizer = build.load_tokenizer(settings, folder, ())
        encoder = build.load_encoder(settings, folder, device, len(tokenizer))
        subwords = Subwords(tokenizer, build.accepts_types(encoder))
        limits = Limits(about["max_length"], about["long_inputs"], about["stride"])
        prepared = Prepared.of(request, subwords, limits)
        tasks = [task.task for task in prepared.tasks.values()]
        model = build.assemble(settings, encoder, tasks, device, request.seed)
        model.heads.load_state_dict(heads)
    model.eval()
    return EncoderModel(model, prepared, plan_of(settings, prepared, request.seed).n_steps)
