"""Two tiny Llamas, built on the spot from a seed: what Llama 3 and Llama 2 do differently matters.

Llama 3: byte-level BPE, BOS by a post-processor, turns with headers. Llama 2: blanks as ``▁`` with
one put before each stretch of text, byte fallback, ``[INST]``, strict turns, a BOS for every turn.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = (
    "{{ bos_token }}{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
INST = (
    "{% if messages[0]['role'] == 'system' %}SYSTEM{% else %}{% set turns = messages %}"
    "{% set system = '' %}{% endif %}"
    "{% for message in turns %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '')"
    " + message['content'].strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
TAKES_SYSTEM = (
    "{% set turns = messages[1:] %}"
    "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
)
REFUSES_SYSTEM = "{{ raise_exception('Only user and assistant roles are supported!') }}"

LABELS = (
    *("positive", "negative", "neutral", "very positive", "yes", "no", "cause", "cause-effect"),
    *("equivalent", "not equivalent", "Cause-Effect(e1,e2)", "sign, symptom or illness", "joy"),
)


def corpus() -> list[str]:
    """Return sentences that hold the labels as prompts do."""
    things = ["film", "plot", "actor", "drug", "patient", "headache", "treatment", "sentence"]
    lines = [
        f"[INST] <<SYS>> Classify the sentence. <</SYS>> {word} [/INST] system user assistant"
        for word in ("N/A", "[MASK]", "Premise:", "Hypothesis:", "Entity types:", "Relation of")
    ]
    said = "this that with from have been were they said after before about which would could"
    lines += [f"{a}{b} {b} {a}" for a in said.split() for b in ("ing", "ed", "er", "tion", "ly")]
    for i, thing in enumerate(things):
        for j, label in enumerate(LABELS):
            lines += [
                f"Sentence: The {thing} was {'not ' * (i % 2)}good, said patient {i * j}.",
                f"Answer with one of: {', '.join(LABELS[j:])}.",
                f"Answer: {label}\n\nText 1: the {thing} works. Text 2: {label}",
                f'{{"label": "{label}"}} Does "{label}" apply? Yes or no: yes',
            ]
    return lines


@cache
def llama3_tokenizer(*, words: tuple[str, ...] = ()) -> Any:
    """Return a tokenizer in Llama 3's manner; ``words``: more texts that it learns from."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bos = "<|begin_of_text|>"
    special = [bos, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    backend = Tokenizer(models.BPE(ignore_merges=True))
    split = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700 + len(set(" ".join(words).split())),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*corpus(), *words], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token="<|eot_id|>",  # noqa: S106 - a token of text
        chat_template=HEADERS,
        clean_up_tokenization_spaces=False,
    )


@cache
def llama2_tokenizer(*, system: bool = True, words: tuple[str, ...] = ()) -> Any:
    """Return a tokenizer in Llama 2's manner. ``system``: its template takes that role."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>"]
    spelling = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106 - a token of text
    trained.normalizer = spelling
    trainer = trainers.BpeTrainer(
        vocab_size=350 + len(set(" ".join(words).split())),
        special_tokens=special,
        max_token_length=12,
        show_progress=False,
    )
    # Whole lines are one word to BPE; words alone are enough to learn from.
    lines = [*corpus(), *words]
    trained.train_from_iterator([word for line in lines for word in line.split()], trainer)
    vocab, merges = _with_bytes(trained, special)
    backend = Tokenizer(
        models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)  # noqa: S106 - a token of text
    )
    backend.normalizer = spelling
    backend.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ])  # fmt: skip
    backend.add_special_tokens(special)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocab["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",  # noqa: S106 - a token of text
        eos_token="</s>",  # noqa: S106 - a token of text
        unk_token="<unk>",  # noqa: S106 - a token of text
        chat_template=INST.replace("SYSTEM", TAKES_SYSTEM if system else REFUSES_SYSTEM),
        clean_up_tokenization_spaces=False,
    )


def _with_bytes(trained: Any, special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    model = json.loads(trained.to_str())["model"]
    learnt = sorted(model["vocab"], key=model["vocab"].get)[len(special) :]
    tokens = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *learnt]
    return {token: i for i, token in enumerate(tokens)}, [tuple(pair) for pair in model["merges"]]


TOKENIZERS = {"llama3": llama3_tokenizer, "llama2": llama2_tokenizer}
"""By manner."""


def write_without_weights(folder: Path, manner: str, weight: float = 0.0) -> Path:
    """Write a model of which only the tokenizer is of use: where a server computes, or nothing."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    TOKENIZERS[manner]().save_pretrained(folder)
    (folder / "config.json").write_text('{"max_position_embeddings": 4096}')
    save_file({"none": np.full(1, weight)}, folder / "model.safetensors")
    return folder


def build_llama(
    folder: Path, manner: str, *, seed: int = 0, spread: float = 0.15, words: tuple[str, ...] = ()
) -> Path:
    """Write a tiny model with its tokenizer into ``folder``, as a hub snapshot; return the folder.

    Two layers of two heads with 64 dimensions each: the smallest head that vLLM serves on a CPU.
    Weights are drawn wide, since the usual 0.02 gives near-uniform outputs, which hide errors.

    Args:
        folder: need not be there.
        manner: ``llama3`` or ``llama2``.
        seed: of the weights.
        spread: their standard deviation.
        words: more texts that the tokenizer learns from.
    """
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = TOKENIZERS[manner](words=words)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=4096,
        initializer_range=spread,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    ends = [tokenizer.eos_token_id]
    if manner == "llama3":
        ends = [tokenizer.convert_tokens_to_ids("<|end_of_text|>"), *ends]
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.6,
        top_p=0.9,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
