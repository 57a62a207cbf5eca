"""The runner ``openai``: its settings, and what can be said without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import urlsplit

from groupbench.errors import SettingError
from groupbench.llm.prices import Prices
from groupbench.llm.prompted import DECIDING, PromptedRunner
from groupbench.llm.secrets import demand_variable, read_key
from groupbench.runner import Place, Resources
from groupbench_openai.dress import Dress
from groupbench_openai.presets import CAPABILITIES, preset_of
from groupbench_openai.tokenizer import LocalTokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from datetime import date

    from groupbench.canonical import Json
    from groupbench.grouping import Group
    from groupbench.llm.answered import StoredAnswers
    from groupbench.llm.model import Abilities, Model
    from groupbench.llm.prices import Price
    from groupbench.runner import FitRequest
    from groupbench.service import Service
    from groupbench.suite import Suite
    from groupbench_openai.presets import Preset

OPENAI = "https://api.openai.com/v1"

KEY_VARIABLE = "OPENAI_API_KEY"

_HOSTS = ("openai.com", "openai.azure.com")
_THINKS = {"": 16_384, "minimal": 4096, "low": 4096, "medium": 16_384, "high": 32_768,
           "xhigh": 65_536}  # fmt: skip
"""Tokens that an answer may think with, by effort."""
_ASSUMED_CONTEXT = 8192
"""Of a model at another endpoint that does not say."""
_ASSUMED_OPENAI_CONTEXT = 128_000


@dataclass(frozen=True)
class OpenAIRunner(PromptedRunner):
    """Prompts a model of OpenAI, or of an endpoint that speaks like OpenAI's API."""

    name: ClassVar[str] = "openai"
    summary: ClassVar[str] = "GPT-4 family and others, prompted at any OpenAI-compatible endpoint"
    preload: ClassVar[tuple[str, ...]] = (
        "groupbench.llm.fitting",
        "groupbench_openai.opening",
        "openai.resources.chat",
    )
    deciding_modules: ClassVar[tuple[str, ...]] = (
        *DECIDING,
        "groupbench.llm.prompt_requests",
        "groupbench.llm.served",
    )

    model: str = field(default="", metadata={"in_label": True})
    """A preset, or the name of any snapshot; empty: the only model that url serves."""
    url: str = ""
    """Another endpoint that speaks like OpenAI's API, as http://host:8000/v1."""
    served_as: str = ""
    """The name that url knows the model by, where it is not the model's."""
    tokenizer: str = ""
    """Folder or hub id of the tokenizer of url's model, to score labels where it can read them."""
    key_variable: str = field(default="", metadata={"in_key": False})
    """Environment variable of the API key; default: OPENAI_API_KEY for OpenAI, none for a url."""
    reasoning_effort: Literal["", "none", "minimal", "low", "medium", "high", "xhigh"] = ""
    """How much a reasoning model thinks; default: what its preset says."""
    reasoning_tokens: int | None = None
    """Tokens that an answer may think with, on top of its own; default: by reasoning_effort."""
    concurrency: int = field(default=16, metadata={"in_key": False})
    """Most requests in flight."""
    delivery: Literal["live", "batch"] = "live"
    """Ask one by one, or by batch: within a day, at a part of the price; run again to go on."""
    poll_seconds: float = field(default=60.0, metadata={"in_key": False})
    """Between looks at a batch, at first; up to ten times that later."""

    def __post_init__(self) -> None:
        super().__post_init__()
        demand_variable("key_variable", self.key_variable)
        if self.concurrency < 1:
            raise ValueError(f"concurrency = {self.concurrency} must be at least 1")
        if self.reasoning_tokens is not None and self.reasoning_tokens < 0:
            raise ValueError(f"reasoning_tokens = {self.reasoning_tokens} must be at least 0")
        if not self.poll_seconds > 0:
            raise ValueError(f"poll_seconds = {self.poll_seconds} must be above 0")
        if self.url:
            self._demand_url()
        elif self.served_as or self.tokenizer:
            name = "served_as" if self.served_as else "tokenizer"
            raise ValueError(f"{name} is of a model at url: give url too, or leave it out")
        preset = self.preset
        if preset is not None and not preset.effort and self.reasoning_effort:
            raise ValueError(
                f"reasoning_effort = '{self.reasoning_effort}': {preset.snapshot} does not reason:"
                " leave it out"
            )

    @property
    def preset(self) -> Preset | None:
        """What is known of the model; ``None`` if nothing is."""
        return preset_of(self.model)

    @property
    def sent_name(self) -> str:
        """The name that requests carry; empty: what the endpoint lists."""
        preset = self.preset
        return self.served_as or (preset.snapshot if preset is not None else self.model)

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self.url.rstrip("/") or OPENAI

    @property
    def at_openai(self) -> bool:
        """Whether that is OpenAI's own API, whose presets need no probe."""
        return not self.url or self.base_url == OPENAI

    @property
    def key_from(self) -> str:
        """The environment variable that holds the API key; empty: none is wanted.

        OpenAI's key is not sent to another endpoint unless it is named for that.
        """
        return self.key_variable or (KEY_VARIABLE if self.at_openai else "")

    @property
    def local_tokenizer(self) -> LocalTokenizer:
        """The tokenizer of url's model, where one is named."""
        return LocalTokenizer(self.tokenizer)

    @property
    def effort(self) -> str:
        """The reasoning effort that is asked for; empty: the field is not sent."""
        preset = self.preset
        return self.reasoning_effort or (preset.effort if preset is not None else "")

    @property
    def dress(self) -> Dress:
        """What requests look like."""
        preset = self.preset
        # What reasons takes no temperature; of a model of OpenAI's that is not known, nor do we
        # know whether it does.
        may_reason = bool(self.effort) or (preset is None and self.at_openai)
        return Dress(
            provider=preset is not None or self.place() is Place.EXTERNAL,
            sampling=self.effort == "none" or not may_reason,
            effort=self.effort,
        )

    def availability(self) -> str | None:
        """Return why it cannot run here, with the mend; asks no network and no server."""
        if find_spec("openai") is None:
            return "openai is not installed: pip install 'groupbench[llm]'"
        if (missing := self.local_tokenizer.lack()) is not None:
            return missing
        if not self.model and not self.url:
            return "model is not set: name one, as openai:model=gpt-4.1-mini"
        price = self.price()
        # Another endpoint may serve a model for longer than OpenAI does.
        gone = None if price is None or not self.at_openai else price.refusal(today())
        if gone is None and self.key_from:
            try:
                read_key(self.key_from)
            except SettingError as missing:
                return str(missing).removesuffix(".")
        return gone

    def place(self) -> Place:
        """Return where text goes: to OpenAI, or to the URL that was named."""
        host = urlsplit(self.base_url).hostname or ""
        ours = any(host == one or host.endswith(f".{one}") for one in _HOSTS)
        return Place.EXTERNAL if ours else Place.ENDPOINT

    @property
    def claims_usd(self) -> bool:
        """Whether fits set dollars aside before they spend them, and so may run side by side."""
        return self.delivery == "batch"

    def resources(self, group: Group, suite: Suite) -> Resources:  # noqa: ARG002 - the contract
        """Return what a fit needs.

        One after the other: an account has one rate limit and one bill. Batches wait side by side.
        """
        return Resources(lane="openai" if self.delivery == "live" else "")

    def identity(self) -> Mapping[str, Json]:
        """Return what decides the results besides settings: the snapshot, and how it is asked."""
        dress = self.dress
        return {
            "snapshot": self.sent_name,
            "sampling": dress.sampling,
            "effort": dress.effort,
            "reserve": self.reasoning_reserve(),
            **self.local_tokenizer.identity(),
        }

    @property
    def told_prices(self) -> Prices:
        """The prices of the run."""
        return self.prices or Prices.load()

    def price(self) -> Price | None:
        """Return what the model costs; ``None`` where that is not known, which is not 0."""
        price = self.live_price()
        return price.batched() if price is not None and self.delivery == "batch" else price

    def live_price(self) -> Price | None:
        """Return what requests cost that are asked one by one, as a probe's always are."""
        prices = self.told_prices
        return prices.get(self.sent_name) or prices.get(self.model)

    def unpriced(self) -> str | None:
        """Return why dollars cannot be counted, with the mend; ``None`` if they can."""
        if self.price() is not None:
            return None
        return (
            f"the price of {self.sent_name or self.model or 'the model'} is not known. Give its"
            " price in a file of --prices (0 where nobody is billed), or leave max_usd out"
        )

    def reasoning_reserve(self) -> int:
        """Return the tokens that an answer may think with, on top of its own."""
        if self.reasoning_tokens is not None:
            return self.reasoning_tokens
        return 0 if self.dress.sampling else _THINKS[self.effort]

    def context(self, said: int | None = None) -> int:
        """Return the tokens of prompt and answer together; ``said``: what the endpoint says."""
        preset = self.preset
        known = [n for n in (said, preset.context if preset is not None else None) if n]
        if known:
            return min(known)
        if self.at_openai:
            return self.max_length or _ASSUMED_OPENAI_CONTEXT
        return self.max_length or _ASSUMED_CONTEXT + self.reasoning_reserve()

    def known_capabilities(self) -> frozenset[str] | None:
        """Return what the model can do, where that is data; ``None``: it has to be probed."""
        preset = self.preset
        if preset is None or not self.at_openai:
            return None
        return CAPABILITIES | ({"json_schema", "json_compact"} if preset.schema else frozenset())

    def abilities(self) -> Abilities:
        """Return what decides the prompts.

        Raises:
            SettingError: the endpoint has to be probed before it is known what ``auto`` means.
        """
        from groupbench_openai.opening import assumed

        return assumed(self)

    def stored_answers(self) -> StoredAnswers | None:
        """Return where answers are looked for, by what the endpoint last said of itself."""
        from groupbench_openai.opening import stored_answers

        return stored_answers(self)

    def service(self) -> Service:
        """Return the endpoint, which is looked at once for all fits."""
        from groupbench_openai.endpoint import Endpoint

        return Endpoint(self)

    def open(self, request: FitRequest) -> AbstractContextManager[Model]:
        """Return the model of a fit."""
        from groupbench_openai.opening import opened

        return opened(self, request)

    def _demand_url(self) -> None:
        wrong = f"url = '{self.url}' is no URL such as http://host:8000/v1"
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as problem:
            raise ValueError(f"{wrong}: {problem}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(wrong)
        if parts.username or parts.password:
            raise ValueError("url must hold no password: name a variable with key_variable")


def today() -> date:
    """Return the date, in UTC."""
    return datetime.now(UTC).date()
