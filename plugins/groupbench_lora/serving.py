"""An adapter behind the run's vLLM server: loaded, proven by the canary, and asked."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from groupbench.llm.model import Abilities
from groupbench.llm.opening import open_served
from groupbench.llm.responses import Served
from groupbench.llm.same_tokens import demand_equal_tokens
from groupbench.llm.secrets import Redactor
from groupbench.llm.vllm_adapters import loaded
from groupbench.llm.watching import watch
from groupbench.llm.weights import model_hash
from groupbench_lora.adapter import weights_hash
from groupbench_lora.canary import canary_prompts, prove, tolerance
from groupbench_openai_client.client import client_of
from groupbench_openai_client.probing import FOUND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.llm.model import Model
    from groupbench.llm.tokenizer import Tokenizer
    from groupbench.runner import FitRequest
    from groupbench_lora.prepare import PreparedTask
    from groupbench_lora.runner import LoraRunner


def served_abilities(
    address: Mapping[str, str], tokenizer: Tokenizer, ours: Abilities
) -> Abilities:
    """Return what the server was found to do, with prompts as we render them.

    Raises:
        ServerError: it makes other tokens of a text than we do.
    """
    demand_equal_tokens(tokenizer, address)
    can = frozenset(json.loads(address[FOUND])["can"])
    limit = min(ours.limit, int(address["max_model_len"] or ours.limit))
    # What takes token ids writes text after them, be there a chat template or not.
    return Abilities(ours.form, limit, can | {"chat"})


@contextmanager
def served(  # noqa: PLR0913 - what the two computations need
    runner: LoraRunner,
    request: FitRequest,
    folder: Path,
    *,
    peft: Model,
    abilities: Abilities,
    tasks: Mapping[str, PreparedTask],
) -> Iterator[Model]:
    """Yield the base model behind the server with the adapter in ``folder``, proven active.

    Args:
        runner: configured.
        request: the fit; its service is the server.
        folder: of the adapter.
        peft: the same adapter in this process.
        abilities: `served_abilities`.
        tasks: that it was trained on; their prompts are the canary.

    Raises:
        CanaryError: the server does not apply the adapter.
        ServerError: it refuses the adapter.
    """
    address, weights = request.service, weights_hash(folder)
    name = f"adapter-{weights[:16]}"
    device = runner.computes_on
    with ExitStack() as held:
        held.enter_context(loaded(address, name, folder))
        base = held.enter_context(_asked(runner, request, address["model"], "", abilities))
        trial = held.enter_context(_asked(runner, request, name, weights, abilities))
        proof = prove(
            name,
            canary_prompts(tasks),
            peft=peft,
            served=trial,
            base=base,
            allowed=tolerance(device.device, device.dtype),
        )
        facts: dict[str, Json] = {
            "engine": "vllm",
            "version": address["version"],
            "adapter": weights,
            "canary": proof,
            "capabilities": json.loads(address[FOUND]),
        }
        yield held.enter_context(_asked(runner, request, name, weights, abilities, facts=facts))


@contextmanager
def _asked(  # noqa: PLR0913 - one for each part it ties together
    runner: LoraRunner,
    request: FitRequest,
    name: str,
    weights: str,
    abilities: Abilities,
    *,
    facts: Mapping[str, Json] | None = None,
) -> Iterator[Model]:
    address, price = request.service, runner.price()
    answering = Served(
        "vllm",
        model_hash(runner.source.fetch()),
        details={
            "version": address["version"],
            "max_model_len": address["max_model_len"],
            "dtype": runner.computes_on.dtype,
            "adapter": weights,
        },
    )
    with open_served(
        request if price else replace(request, max_usd=None),  # nothing is billed
        client_of(address["url"], address["api_key"]),
        name,
        answering,
        abilities,
        price=price,
        at_once=runner.concurrency,
        redact=Redactor([address["api_key"]]),
        mend=watch(address["url"]),
        facts=facts,
    ) as model:
        yield model
