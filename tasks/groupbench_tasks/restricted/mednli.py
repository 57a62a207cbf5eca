"""MedNLI as PhysioNet hands it out: one JSON object a line.

Romanov and Shivade, "Lessons from Natural Language Inference in the Clinical Domain" (EMNLP 2018).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from groupbench.errors import DataError
from groupbench_tasks.restricted.files import columns, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    "train": "mli_train_v1.jsonl",
    "validation": "mli_dev_v1.jsonl",
    "test": "mli_test_v1.jsonl",
}
_FIELDS = {"text": "sentence1", "text_pair": "sentence2", "label": "gold_label", "id": "pairID"}


def read(folder: Path) -> dict[str, dict[str, list[object]]]:
    """Return premise, hypothesis, label and id of each pair, by split.

    Raises:
        DataError: a file is missing, or a line is no pair.
    """
    return {split: columns(_rows(folder / name), _FIELDS) for split, name in FILES.items()}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            pair = json.loads(line)
            yield {ours: pair[theirs] for ours, theirs in _FIELDS.items()}
        except (ValueError, KeyError, TypeError) as problem:
            raise DataError(
                f"{path}, line {number}: is no pair with {', '.join(_FIELDS.values())}"
                f" ({type(problem).__name__}: {problem})."
            ) from None
