"""Making a group's model: tokenizer, encoder, heads, and what of them is trained."""

from __future__ import annotations

import inspect
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from groupbench.errors import SettingError
from groupbench_encoder import tiny
from groupbench_encoder.model import CutEmbedding, GroupModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from groupbench.task import Task
    from groupbench_encoder.devices import Device
    from groupbench_encoder.runner import EncoderRunner

HEAD_DROPOUT = 0.1
"""Where neither the settings nor the model's configuration say."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing progress bars and load reports."""
    from transformers.utils import logging

    # Fits are processes that were forked: threads of the tokenizer do not survive that.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def load_tokenizer(
    settings: EncoderRunner, folder: Path | None, texts: Iterable[str]
) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer, or one made of ``texts`` where there is no folder."""
    if folder is None:
        return tiny.train_tokenizer(texts, settings.max_length or settings.preset.max_length)
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, ImportError) as problem:
        raise SettingError(
            f"model = '{settings.model}': its tokenizer cannot be read ({_line(problem)})."
        ) from problem


def load_encoder(
    settings: EncoderRunner, folder: Path | None, device: Device, n_words: int
) -> PreTrainedModel:
    """Return the encoder in float32, without a pooling layer of its own.

    Raises:
        SettingError: the folder's weights cannot be read, or not with the attention asked for.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    if folder is None:
        shape = tiny.config(n_words, settings.max_length or settings.preset.max_length)
        _set_dropout(shape, settings)
        encoder = AutoModel.from_config(
            shape, attn_implementation=device.attention, dtype=torch.float32
        )
    else:
        try:
            shape = AutoConfig.from_pretrained(str(folder), local_files_only=True)
            _set_dropout(shape, settings)
            encoder = AutoModel.from_pretrained(
                str(folder),
                config=shape,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                attn_implementation=device.attention,
            )
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as problem:
            raise SettingError(
                f"model = '{settings.model}': it cannot be loaded with attention = "
                f"'{device.attention}' ({_line(problem)})."
            ) from problem
    used = encoder.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    if used != device.attention:
        raise SettingError(
            f"attention = '{device.attention}': {settings.model} uses '{used}'; ask for that."
        )
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # heads read the last layer; an idle layer would only be kept
    return encoder


def longest(settings: EncoderRunner, config: Any, tokenizer: PreTrainedTokenizerBase) -> int:  # noqa: ANN401 - any model's
    """Return how many sub-words an input may have.

    Raises:
        SettingError: ``max_length`` is more than the model has positions for.
    """
    positions = getattr(config, "max_position_embeddings", None) or 1 << 30
    if config.model_type in {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"}:
        positions -= 2  # their positions begin after the padding's
    can = min(positions, tokenizer.model_max_length)
    if settings.max_length is None:
        return int(min(settings.preset.max_length, can))
    if settings.max_length > can:
        raise SettingError(
            f"max_length = {settings.max_length}: {settings.model} reads at most {can} sub-words."
        )
    return settings.max_length


def assemble(
    settings: EncoderRunner,
    encoder: PreTrainedModel,
    tasks: Sequence[Task],
    device: Device,
    seed: int,
) -> GroupModel:
    """Return the group's model on its device, all of it trainable."""
    model = GroupModel(
        encoder,
        tasks,
        hidden=int(encoder.config.hidden_size),
        pooling=settings.pooling or settings.preset.pooling,
        dropout=_head_dropout(encoder.config, settings),
        device=device,
        seed=seed,
    )
    return model.to(device.confirm())


def restrict(model: GroupModel, settings: EncoderRunner, used: Sequence[int]) -> None:
    """Leave out of training what the settings freeze, and embeddings that no text uses."""
    encoder: Any = model.encoder
    if settings.tuning == "lora":
        model.encoder = _with_lora(encoder, settings)
        return
    frozen: list[nn.Module] = []
    if settings.freeze_layers:
        layers = _layers(encoder)
        if settings.freeze_layers > len(layers):
            raise SettingError(
                f"freeze_layers = {settings.freeze_layers}: there are only {len(layers)}."
            )
        frozen += layers[: settings.freeze_layers]
    if settings.freeze == "embeddings" or settings.freeze_layers:
        frozen.append(getattr(encoder, "embeddings", None) or encoder.get_input_embeddings())
    for module in frozen:
        module.requires_grad_(requires_grad=False)
    whole = encoder.get_input_embeddings()
    if type(whole) is nn.Embedding and whole.weight.requires_grad:
        encoder.set_input_embeddings(CutEmbedding(whole, used))


def restore_whole(model: GroupModel) -> None:
    """Undo `restrict`: whole embeddings, low-rank changes merged, everything trainable."""
    encoder: Any = model.encoder
    if hasattr(encoder, "merge_and_unload"):
        encoder = model.encoder = encoder.merge_and_unload()
    embedding = encoder.get_input_embeddings()
    if isinstance(embedding, CutEmbedding):
        encoder.set_input_embeddings(embedding.restored())
    model.requires_grad_(requires_grad=True)


def _with_lora(encoder: PreTrainedModel, settings: EncoderRunner) -> nn.Module:
    """Low-rank changes to every linear layer (Hu et al., ICLR 2022, arXiv:2106.09685)."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
    )
    with warnings.catch_warnings():  # peft still asks for what transformers has renamed
        warnings.simplefilter("ignore", FutureWarning)
        changed: nn.Module = get_peft_model(encoder, config)
    return changed


def _layers(encoder: nn.Module) -> list[nn.Module]:
    """Return the encoder's layers, lowest first: its longest list of modules."""
    lists = [list(m) for m in encoder.modules() if isinstance(m, nn.ModuleList)]
    return max(lists, key=len, default=[])


def _set_dropout(config: Any, settings: EncoderRunner) -> None:  # noqa: ANN401 - any model's
    dropout = settings.dropout if settings.dropout is not None else settings.preset.dropout
    if dropout is None:
        return
    for name, value in config.to_dict().items():
        inside = name.endswith(("dropout", "dropout_prob"))
        if inside and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(config, name, dropout)


def _head_dropout(config: Any, settings: EncoderRunner) -> float:  # noqa: ANN401 - any model's
    dropout = settings.dropout if settings.dropout is not None else settings.preset.dropout
    if dropout is not None:
        return dropout
    for name in ("classifier_dropout", "hidden_dropout_prob", "dropout"):
        value = getattr(config, name, None)
        if value is not None:
            return float(value)
    return HEAD_DROPOUT


def _line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__


def accepts_types(encoder: nn.Module) -> bool:
    """Whether the model takes token types."""
    return "token_type_ids" in inspect.signature(encoder.forward).parameters
