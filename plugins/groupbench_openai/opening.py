"""One fit's model: the endpoint as it was found, asked through the official SDK."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError
from groupbench.llm.answered import StoredAnswers
from groupbench.llm.chat import MessagesForm
from groupbench.llm.forms import form_of
from groupbench.llm.model import Abilities
from groupbench.llm.modes import AUTO, NEEDS, Mode
from groupbench.llm.opening import open_served
from groupbench.llm.pace import Patience
from groupbench.llm.responses import Served, default_path
from groupbench.llm.same_tokens import demand_equal_tokens
from groupbench.llm.secrets import Redactor, read_key
from groupbench_causal_lm.tokenizers import load_tokenizer
from groupbench_openai.batch import BatchRequester
from groupbench_openai.batch_api import BatchApi
from groupbench_openai.batch_notes import BatchNotes
from groupbench_openai.endpoint import (
    FACTS,
    FOUND,
    LENGTH,
    LIMIT,
    NAME,
    NO_KEY,
    ROOT,
    Endpoint,
)
from groupbench_openai.presets import near_preset
from groupbench_openai_client.batches import BatchClient
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from groupbench.llm.client import Client
    from groupbench.llm.ledger import Ledger
    from groupbench.llm.model import Model
    from groupbench.llm.responses import ResponseStore
    from groupbench.llm.spending import Spending
    from groupbench.runner import FitRequest
    from groupbench_openai.runner import OpenAIRunner

_SECONDS, _THINKING_SECONDS = 120.0, 600.0


def assumed(runner: OpenAIRunner) -> Abilities:
    """Return what decides the prompts where nobody is asked: what is known, or was found before.

    Raises:
        SettingError: that has to be found out first.
    """
    can = runner.known_capabilities()
    if (lack := runner.local_tokenizer.lack()) is not None:
        raise SettingError(f"{lack}.")
    if can is None and (found := Endpoint(runner).last_found()) is not None:
        return _abilities(runner, found)
    if can is None:
        if runner.mode == AUTO:
            near = near_preset(runner.model) if runner.at_openai else None
            mend = "" if near is None else f" Did you mean model={near}?"
            raise SettingError(
                f"model = '{runner.model}': which mode it can be asked in is known only once"
                f" {runner.base_url} was probed; name one, as mode=text or mode=json.{mend}"
            )
        can = frozenset().union(*NEEDS[Mode(runner.mode)][:1])
    if (folder := runner.local_tokenizer.folder()) is not None:
        form = form_of(load_tokenizer(folder), shots_as=runner.shots_as)
        return Abilities(form, runner.context(), can)
    return Abilities(MessagesForm(shots_as=runner.shots_as), runner.context(), can)


def stored_answers(runner: OpenAIRunner) -> StoredAnswers | None:
    """Return what is answered already; ``None`` where its keys are known only to who asks."""
    address = Endpoint(runner).last_found()
    if runner.known_capabilities() is not None:
        address = {NAME: runner.sent_name}
    if address is None:
        return None
    served = served_of(runner, address)
    return StoredAnswers(address[NAME], served, runner.abilities(), runner.dress)


@contextmanager
def opened(runner: OpenAIRunner, request: FitRequest) -> Iterator[Model]:
    """Return the model of a fit, at the endpoint as it was found.

    Raises:
        SettingError: dollars are limited and the price is not known; nothing was sent.
    """
    address = request.service
    api_key = read_key(runner.key_from) if runner.key_from else NO_KEY
    seconds = _SECONDS if runner.dress.sampling else _THINKING_SECONDS
    served = served_of(runner, address)
    redact = Redactor([api_key])

    def batch(
        client: Client, store: ResponseStore, spending: Spending, ledger: Ledger
    ) -> BatchRequester:
        asked: Any = client
        most = None if request.max_usd is None else request.max_usd + request.claimed_usd
        return BatchRequester(
            BatchApi(asked, served.provider, redact),
            served,
            runner.base_url,
            store,
            BatchNotes(default_path().parent / "batches"),
            spending,
            claim=lambda usd: ledger.claim(usd, most, "a batch"),
            release=lambda usd: ledger.add(-usd, "a batch"),
            poll_seconds=runner.poll_seconds,
        )

    batched = runner.delivery == "batch"
    make = BatchClient if batched else OpenAIClient
    with open_served(
        request,
        make(runner.base_url, api_key),
        address[NAME],
        served,
        _abilities(runner, address, api_key),
        price=runner.price(),
        at_once=runner.concurrency,
        patience=Patience(attempt_seconds=seconds),
        redact=redact,
        dress=runner.dress,
        facts={**json.loads(address[FACTS]), "delivery": runner.delivery},
        deliver=batch if batched else None,
    ) as model:
        yield model


def _abilities(
    runner: OpenAIRunner, address: Mapping[str, str], api_key: str | None = None
) -> Abilities:
    """Return what an endpoint was found to do; without a key it is not asked about its tokens."""
    can, limit = frozenset(json.loads(address[FOUND])), int(address[LIMIT])
    folder = runner.local_tokenizer.folder()
    if folder is None or "token_prompts" not in can:
        # Messages are sent, so that the endpoint renders: no boundary of a label is known here.
        return Abilities(MessagesForm(shots_as=runner.shots_as), limit, can - {"token_prompts"})
    tokenizer = load_tokenizer(folder)
    if api_key is not None:
        where = {"url": runner.base_url, "model": address[NAME], "api_key": api_key}
        demand_equal_tokens(tokenizer, where)
    return Abilities(form_of(tokenizer, shots_as=runner.shots_as), limit, can | {"chat"})


def served_of(runner: OpenAIRunner, address: Mapping[str, str]) -> Served:
    """Return what answers, as far as answers depend on it: never where it is, or with what key."""
    if runner.at_openai:
        return Served("openai", address[NAME])
    details = {ROOT: address[ROOT], LENGTH: address[LENGTH]}
    return Served("openai-compatible", address[NAME], details=details)
