"""The arithmetic that training needs, and how much of it this machine can do."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

from _machine import Machine

if TYPE_CHECKING:
    from _arms import Asked


@dataclass(frozen=True, slots=True)
class Here:
    """What this machine can do."""

    machine: Machine
    peak: float
    """Float32 operations a CPU-second that products of large matrices reach on one thread."""
    bf16: bool
    """Whether bfloat16 is quicker."""

    @classmethod
    def measured(cls) -> Here:
        """Measure, in a process of its own."""
        machine = Machine.here()  # before anything makes it busy
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            peak = pool.submit(matmul_peak, 1).result()
            return cls(machine, peak, pool.submit(is_quicker_in_bf16).result())


@dataclass(frozen=True, slots=True)
class Work:
    """The arithmetic of one pass over some rows, padding left out."""

    flops: float
    """Floating-point operations of forward and backward for one pass."""
    n_tokens: int

    @classmethod
    def of(cls, asked: Asked) -> Work:
        """Count: 6 * parameters outside embeddings * tokens + 12 * layers * hidden * length^2.

        The second term is attention: scores and their products with values are
        2 * 2 * hidden * length^2 operations a layer forwards, and twice that backwards.
        """
        import numpy as np
        import torch
        from _arms import MODEL, Rows, tokenised
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        from groupbench_encoder.runner import EncoderRunner

        folder = str(EncoderRunner(model=MODEL).source.find())
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            model = AutoModel.from_config(config, add_pooling_layer=False)
        n_parameters = sum(p.numel() for p in model.parameters())
        n_parameters -= sum(p.numel() for p in model.embeddings.parameters())
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, model_max_length=asked.max_length
        )
        rows = Rows.of(asked)
        ids = tokenised(tokenizer, rows.train.train, labelled=False, plain=True)
        lengths = np.asarray([len(row["input_ids"]) for row in ids], float)
        attention = 12 * config.num_hidden_layers * config.hidden_size * (lengths**2).sum()
        return cls(float(6 * n_parameters * lengths.sum() + attention), int(lengths.sum()))


def matmul_peak(threads: int, dtype: str = "float32", size: int = 2048) -> float:
    """Return the most operations a CPU-second that products of large matrices reach here."""
    import torch

    torch.set_num_threads(threads)
    a = torch.rand(size, size).to(getattr(torch, dtype))
    best = 0.0
    for _ in range(4):
        before = time.process_time()
        torch.mm(a, a)
        best = max(best, 2 * size**3 / (time.process_time() - before))
    return best


def is_quicker_in_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32."""
    return matmul_peak(1, "bfloat16", size=512) > matmul_peak(1, size=512)
