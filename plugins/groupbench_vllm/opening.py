"""One fit's model: the client, the tokenizer and the requester put together."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError
from groupbench.llm.chat import MessagesForm
from groupbench.llm.errors import StoppedError
from groupbench.llm.forms import form_of
from groupbench.llm.model import Abilities
from groupbench.llm.requests import Requester
from groupbench.llm.responses import ResponseStore, Served, default_path
from groupbench.llm.secrets import Redactor
from groupbench.llm.served import ServedModel
from groupbench.llm.server_api import ServerError, get, server_root, tokenized
from groupbench.llm.weights import context_length, model_hash
from groupbench_openai_client.client import OpenAIClient
from groupbench_vllm.probing import FOUND

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.llm.conversation import Form
    from groupbench.llm.model import Model
    from groupbench.llm.tokenizer import Tokenizer
    from groupbench_vllm.runner import VllmRunner

ASSUMED = frozenset(
    {"token_prompts", "batch_prompts", "label_reads", "choice", "json_schema", "chat", "usage"}
)
"""What a vLLM that has not been started is taken to do, to show prompts."""

TRIED = (
    "Sentence: Is it 1,000 or 2?\nAnswer:",
    "  two blanks, naïve 日本語 \u00a0 and\ttabs\n\n",
    "<html>[INST] 'quoted' \"twice\" {json: [1.5e-3]}",
)
"""Texts whose token ids the server must make as we do."""

_OK = 200
_LOOKS = 8
_LOOK_SECONDS = 0.5


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model's folder; needs no torch.

    Raises:
        SettingError: it cannot be loaded, or does not tell where its tokens begin.
    """
    # Fits are processes that were forked: threads of the tokenizer do not survive that.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as problem:
        reason = str(problem).strip().partition("\n")[0]
        raise SettingError(
            f"model = '{folder}': its tokenizer cannot be loaded ({reason})."
        ) from None
    if not getattr(tokenizer, "is_fast", False):
        raise SettingError(
            f"model = '{folder}': its tokenizer has no fast form (tokenizer.json), which tells"
            " where a label's tokens begin."
        )
    return tokenizer  # type: ignore[no-any-return] # transformers has no types


def assumed(runner: VllmRunner, folder: Path) -> Abilities:
    """Return what decides the prompts where no server runs."""
    form = form_of(load_tokenizer(folder), template=runner.template, shots_as=runner.shots_as)
    limit = min(context_length(folder), runner.max_model_len or context_length(folder))
    return Abilities(form, limit, ASSUMED)


@contextmanager
def opened(runner: VllmRunner, address: Mapping[str, str]) -> Iterator[Model]:
    """Return the model of a fit: the server at ``address``, as it was probed.

    Raises:
        ServerError: the server makes other token ids of a text than we do.
    """
    found = json.loads(address[FOUND])
    folder = runner.found_folder()
    abilities = _abilities(runner, address, frozenset(found["can"]), folder)
    facts: dict[str, Json] = {
        "engine": "vllm",
        "version": address["version"],
        "served_as": address["model"],
        "capabilities": found,
    }
    with asyncio.Runner() as loop, ResponseStore(default_path()) as store:
        client = OpenAIClient(address["url"], address["api_key"])
        requester = Requester(
            client,
            served_of(runner, address, folder),
            store=store,
            at_once=runner.concurrency,
            redact=Redactor([address["api_key"]]),
            mend=None if runner.url else _watch(address["url"]),
        )
        try:
            yield ServedModel(requester, loop, address["model"], abilities, facts=facts)
        finally:
            loop.run(client.__aexit__(None, None, None))


def served_of(runner: VllmRunner, address: Mapping[str, str], folder: Path | None) -> Served:
    """Return what answers, as far as answers depend on it."""
    ours = folder is not None and not runner.url
    name = model_hash(folder) if ours and folder is not None else address["model"]
    return Served(
        "vllm",
        name,
        details={
            "version": address["version"],
            "max_model_len": address["max_model_len"],
            "root": "" if ours else address["root"],  # a folder of this machine decides nothing
            "dtype": runner.dtype,
            "quantization": runner.quantization,
            "tensor_parallel_size": runner.tensor_parallel_size,
        },
    )


def _abilities(
    runner: VllmRunner, address: Mapping[str, str], can: frozenset[str], folder: Path | None
) -> Abilities:
    limits = [int(text) for text in (address["max_model_len"],) if text]
    if folder is not None:
        limits.append(context_length(folder))
    limits += [runner.max_model_len] if runner.max_model_len else []
    limit = min(limits, default=4096)
    if folder is None or "token_prompts" not in can:
        # It renders what we say, so that neither boundaries nor lengths are exact.
        return Abilities(MessagesForm(shots_as=runner.shots_as), limit, can - {"token_prompts"})
    tokenizer = load_tokenizer(folder)
    _demand_equal_tokens(tokenizer, address)
    form: Form = form_of(tokenizer, template=runner.template, shots_as=runner.shots_as)
    # What takes token ids writes text after them, be there a chat template or not.
    return Abilities(form, limit, can | {"chat"})


def _demand_equal_tokens(tokenizer: Tokenizer, address: Mapping[str, str]) -> None:
    """Raise `ServerError` unless the server tokenises as we do."""
    for text in TRIED:
        ours = list(tokenizer(text, add_special_tokens=False).input_ids)
        theirs = tokenized(address["url"], address["model"], text, address["api_key"])
        if theirs != ours:
            said = "says nothing at /tokenize" if theirs is None else f"makes {theirs[:12]}"
            raise ServerError(
                f"The server at {address['url']} {said} where the tokenizer of model makes"
                f" {ours[:12]} of {text[:24]!r}: its model is another one. Give model the folder or"
                " id of what is served."
            )


def _watch(url: str) -> Callable[[], Awaitable[None]]:
    """Return what looks, after a failure, whether the server we started still lives."""

    async def look() -> None:
        for _ in range(_LOOKS):
            try:
                said = await asyncio.to_thread(get, f"{server_root(url)}/health")
            except OSError:
                break
            if said.status == _OK:
                return
            await asyncio.sleep(_LOOK_SECONDS)  # an engine that died takes its server along
        raise StoppedError("The vLLM server died. What was answered is stored.")

    return look
