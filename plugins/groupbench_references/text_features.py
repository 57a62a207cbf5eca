"""tf-idf of the words and word n-grams of texts; of pairs, each side on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.task import Example

_WORDS = r"(?u)\b\w+\b|[^\w\s]"
"""Words of any length, and single marks of punctuation."""


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Fitted vectorisers, one a side; ``None`` where a side has no words at all."""

    sides: tuple[Any, ...]
    n_features: int
    n_tokens: int

    @classmethod
    def fit(cls, examples: Sequence[Example], *, ngrams: int, max_features: int) -> TextFeatures:
        """Learn the vocabulary and the document frequencies of ``examples``."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        sides: list[Any] = []
        n_tokens = n_features = 0
        for texts in _texts(examples):
            vectoriser = TfidfVectorizer(
                token_pattern=_WORDS,
                ngram_range=(1, ngrams),
                max_features=max_features or None,
                sublinear_tf=True,
            )
            tokenise = vectoriser.build_tokenizer()
            n_words = sum(len(tokenise(text)) for text in texts)
            # a vocabulary cannot be learned from blank texts
            sides.append(vectoriser.fit(texts) if n_words else None)
            n_tokens += n_words
            n_features += len(vectoriser.vocabulary_) if n_words else 0
        return cls(tuple(sides), n_features, n_tokens)

    def __call__(self, examples: Sequence[Example]) -> Any:  # noqa: ANN401 - a scipy.sparse matrix
        """Return a row an example, shape ``[n, n_features]``."""
        from scipy.sparse import csr_matrix, hstack

        if not examples:
            return csr_matrix((0, self.n_features))
        parts = [
            side.transform(texts)
            for side, texts in zip(self.sides, _texts(examples), strict=False)
            if side is not None
        ]
        return hstack(parts, format="csr") if parts else csr_matrix((len(examples), 0))


def _texts(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """Return the texts of each side: one tuple, or two for pairs."""
    rows = [(e.input,) if isinstance(e.input, str) else e.input for e in examples]
    return list(zip(*rows, strict=True))
