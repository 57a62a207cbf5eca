"""One fit's model: the endpoint as it was found, asked through the official SDK."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from groupbench.errors import SettingError
from groupbench.llm.chat import MessagesForm
from groupbench.llm.model import Abilities
from groupbench.llm.modes import AUTO, NEEDS, Mode
from groupbench.llm.opening import open_served
from groupbench.llm.pace import Patience
from groupbench.llm.responses import Served
from groupbench.llm.secrets import Redactor, read_key
from groupbench_openai.endpoint import FACTS, FOUND, LIMIT, NAME, NO_KEY
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from groupbench.llm.model import Model
    from groupbench.runner import FitRequest
    from groupbench_openai.runner import OpenAIRunner

_SECONDS, _THINKING_SECONDS = 120.0, 600.0


def assumed(runner: OpenAIRunner) -> Abilities:
    """Return what decides the prompts where nobody was asked.

    Raises:
        SettingError: that has to be found out first.
    """
    can = runner.known_capabilities()
    if can is None:
        if runner.mode == AUTO:
            raise SettingError(
                f"model = '{runner.model}': which mode it can be asked in is known only once"
                f" {runner.base_url} was probed; name one, as mode=text or mode=json."
            )
        can = frozenset().union(*NEEDS[Mode(runner.mode)][:1])
    return Abilities(MessagesForm(shots_as=runner.shots_as), runner.context(), can)


@contextmanager
def opened(runner: OpenAIRunner, request: FitRequest) -> Iterator[Model]:
    """Return the model of a fit, at the endpoint as it was found.

    Raises:
        SettingError: dollars are limited and the price is not known; nothing was sent.
    """
    address = request.service
    api_key = read_key(runner.key_from) if runner.key_from else NO_KEY
    # Messages are sent, so that the endpoint renders: no boundary of a label is known here.
    can = frozenset(json.loads(address[FOUND])) - {"token_prompts"}
    form = MessagesForm(shots_as=runner.shots_as)
    seconds = _SECONDS if runner.dress.sampling else _THINKING_SECONDS
    with open_served(
        request,
        OpenAIClient(runner.base_url, api_key),
        address[NAME],
        served_of(runner, address),
        Abilities(form, int(address[LIMIT]), can),
        price=runner.price(),
        at_once=runner.concurrency,
        patience=Patience(attempt_seconds=seconds),
        redact=Redactor([api_key]),
        dress=runner.dress,
        facts=json.loads(address[FACTS]),
    ) as model:
        yield model


def served_of(runner: OpenAIRunner, address: Mapping[str, str]) -> Served:
    """Return what answers, as far as answers depend on it: never where it is, or with what key."""
    if runner.at_openai:
        return Served("openai", address[NAME])
    details = {"root": address["root"], "max_model_len": address["max_model_len"]}
    return Served("openai-compatible", address[NAME], details=details)
