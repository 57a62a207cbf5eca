"""One fit's model: the tokenizer and what asks the server put together."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from groupbench.errors import SettingError
from groupbench.llm.answered import StoredAnswers
from groupbench.llm.chat import MessagesForm
from groupbench.llm.forms import form_of
from groupbench.llm.model import Abilities
from groupbench.llm.opening import open_served
from groupbench.llm.responses import Served
from groupbench.llm.same_tokens import demand_equal_tokens
from groupbench.llm.secrets import Redactor
from groupbench.llm.vllm_server import ASSUMED
from groupbench.llm.watching import watch
from groupbench.llm.weights import context_length, model_hash
from groupbench_causal_lm.tokenizers import load_tokenizer
from groupbench_openai_client.client import client_of
from groupbench_openai_client.probing import FOUND, last_probed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.llm.conversation import Form
    from groupbench.llm.model import Model
    from groupbench.runner import FitRequest
    from groupbench_vllm.runner import VllmRunner


def assumed(runner: VllmRunner) -> Abilities:
    """Return what decides the prompts where no server runs: as the last one was, or one of today.

    Raises:
        MissingModelError: the tokenizer is not on this machine.
    """
    if (address := _last(runner)) is not None:
        return _abilities(runner, address, runner.found_folder(), ask=False)
    folder = runner.source.find()
    form = form_of(load_tokenizer(folder), template=runner.template, shots_as=runner.shots_as)
    limit = min(context_length(folder), runner.max_model_len or context_length(folder))
    return Abilities(form, limit, ASSUMED)


def stored_answers(runner: VllmRunner) -> StoredAnswers | None:
    """Return what is answered already; ``None`` where its keys are known only to who asks."""
    address = _last(runner)
    if address is None:
        return None
    served = served_of(runner, address, runner.found_folder())
    return StoredAnswers(address["model"], served, runner.abilities())


def _last(runner: VllmRunner) -> dict[str, str] | None:
    try:
        if not runner.url:
            runner.source.find()  # to look is no reason to download it
        return last_probed(runner.service().key)
    except SettingError:
        return None  # there is no vLLM, or no model


@contextmanager
def opened(runner: VllmRunner, request: FitRequest) -> Iterator[Model]:
    """Return the model of a fit: the server that its service is, as it was probed.

    Raises:
        ServerError: the server makes other token ids of a text than we do.
    """
    address = request.service
    found = json.loads(address[FOUND])
    folder = runner.found_folder()
    abilities = _abilities(runner, address, folder)
    facts: dict[str, Json] = {
        "engine": "vllm",
        "version": address["version"],
        "served_as": address["model"],
        "capabilities": found,
    }
    served, price = served_of(runner, address, folder), runner.price()
    with open_served(
        request if price else replace(request, max_usd=None),  # nothing is billed
        client_of(address["url"], address["api_key"]),
        address["model"],
        served,
        abilities,
        price=price,
        at_once=runner.concurrency,
        redact=Redactor([address["api_key"]]),
        mend=None if runner.url else watch(address["url"]),
        facts=facts,
    ) as model:
        yield model


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
    runner: VllmRunner, address: Mapping[str, str], folder: Path | None, *, ask: bool = True
) -> Abilities:
    can = frozenset(json.loads(address[FOUND])["can"])
    limits = [int(text) for text in (address["max_model_len"],) if text]
    if folder is not None:
        limits.append(context_length(folder))
    limits += [runner.max_model_len] if runner.max_model_len else []
    limit = min(limits, default=4096)
    if folder is None or "token_prompts" not in can:
        # It renders what we say, so that neither boundaries nor lengths are exact.
        return Abilities(MessagesForm(shots_as=runner.shots_as), limit, can - {"token_prompts"})
    tokenizer = load_tokenizer(folder)
    if ask:
        demand_equal_tokens(tokenizer, address)
    form: Form = form_of(tokenizer, template=runner.template, shots_as=runner.shots_as)
    # What takes token ids writes text after them, be there a chat template or not.
    return Abilities(form, limit, can | {"chat"})
