"""How long inputs are for an encoder: by a rule of thumb, or by a tokenizer's own count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from groupbench.task import Example

PER_WORD = 1.3
"""Sub-words that English words come to; clinical and scientific ones come to more."""
DEFAULT_LENGTH = 512
"""What most encoders read."""


@dataclass(frozen=True)
class Length:
    """Finds inputs that an encoder would cut."""

    most: int = DEFAULT_LENGTH
    """In sub-words."""
    tokenizer: Any = None
    """A ``tokenizers.Tokenizer``; ``None``: the rule of thumb."""

    @classmethod
    def of(cls, most: int | None, tokenizer: Path | None) -> Length:
        """Return how to measure.

        Args:
            most: sub-words that are read; ``None``: `DEFAULT_LENGTH`.
            tokenizer: a ``tokenizer.json``, or the folder of a model that holds one.

        Raises:
            SettingError: it cannot be read, or the library is not there.
        """
        most = DEFAULT_LENGTH if most is None else most
        if tokenizer is None:
            return cls(most)
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise SettingError(
                "tokenizers is not installed: pip install 'groupbench[encoder]', or leave out"
                " --tokenizer and words are counted."
            ) from None
        path = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
        try:
            loaded = Tokenizer.from_file(str(path))
        except Exception as problem:  # noqa: BLE001 - it raises bare exceptions
            raise SettingError(
                f"--tokenizer {path}: cannot be read ({problem}); name a tokenizer.json or the"
                " folder of a model that holds one."
            ) from None
        loaded.no_truncation()
        return cls(most, loaded)

    @property
    def how(self) -> str:
        """How the count was made, for people."""
        if self.tokenizer is None:
            return f"words x {PER_WORD}: a rule of thumb"
        return "sub-words"

    def cut(self, rows: Sequence[Example]) -> list[Example]:
        """Return the rows that are longer than is read."""
        if self.tokenizer is None:
            return [row for row in rows if PER_WORD * len(row.text.split()) > self.most]
        encoded = self.tokenizer.encode_batch([row.text for row in rows])
        return [row for row, code in zip(rows, encoded, strict=True) if len(code) > self.most]
