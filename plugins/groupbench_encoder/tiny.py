"""The encoder ``tiny``: random weights, and a tokenizer of the words of the group's train texts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import BertConfig, PreTrainedTokenizerBase

MAX_WORDS = 8_000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(texts: Iterable[str], max_length: int) -> PreTrainedTokenizerBase:
    """Return a tokenizer with one entry for each word of ``texts``, lower-cased.

    Words are what whitespace and punctuation divide. Beyond `MAX_WORDS`, the rarest are left out.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word
        for text in texts
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    common = sorted(counts, key=lambda word: (-counts[word], word))[: MAX_WORDS - len(SPECIAL)]
    words = [*SPECIAL, *(word for word in common if word not in SPECIAL)]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", words.index("[CLS]")), ("[SEP]", words.index("[SEP]"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",  # noqa: S106 - a token of text
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        mask_token="[MASK]",  # noqa: S106
    )


def config(n_words: int, max_length: int) -> BertConfig:
    """Return the shape of the model: BERT, 2 layers, hidden 64, 4 heads, intermediate 128."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=n_words,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=max_length,
    )
