"""An endpoint before it is used: does it answer, is the model still served, what can it do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from groupbench.canonical import canonical
from groupbench.errors import GroupbenchError, SettingError, UnavailableError
from groupbench.llm.findings import finding_of, keep_finding
from groupbench.llm.ledger import Ledger
from groupbench.llm.opening import LEDGER
from groupbench.llm.prices import Price
from groupbench.llm.probe import CAPABILITIES, OF_MESSAGES, Probed, probe
from groupbench.llm.secrets import Redactor, read_key
from groupbench.llm.server_api import get
from groupbench.llm.spending import Spending, output_bound
from groupbench.llm.usage import Usage
from groupbench_openai.runner import today
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.llm.client import Client, Reply
    from groupbench_openai.dress import Dress
    from groupbench_openai.runner import OpenAIRunner

NO_KEY = "none"
"""What is sent where no key is wanted: the SDK would look for one of its own."""

FOUND, NAME, LIMIT, FACTS = "probed", "model", "limit", "facts"
ROOT, LENGTH = "root", "max_model_len"
"""Of an address."""

_KEPT = (NAME, FOUND, LIMIT, ROOT, LENGTH)

_OK, _REFUSED = 200, 401


class EndpointError(GroupbenchError):
    """An endpoint that refuses us, or does not serve the model."""


@dataclass(eq=False)
class Endpoint:
    """A `groupbench.service.Service` that somebody else runs. It keeps no API key."""

    runner: OpenAIRunner
    key: str = field(init=False)
    """What decides it."""
    gpus: float = field(default=0, init=False)
    """Ours: none."""
    notes: list[str] = field(default_factory=list, init=False)
    """What people should know: a model that is soon gone, a name that is an alias."""
    max_usd: float | None = field(default=None, init=False)
    """That the run has left; a probe is billed too."""
    claimed_usd: float = field(default=0.0, init=False)
    """Of what the run spent: those dollars that the ledger has too."""

    def __post_init__(self) -> None:
        runner = self.runner
        effort = f", effort {runner.effort}" if runner.effort else ""
        by = f", key of {runner.key_from}" if runner.key_from else ""
        self.key = f"{runner.base_url} with {runner.sent_name or 'its only model'}{effort}{by}"

    def start(self, folder: Path) -> Mapping[str, str]:
        """Look at the endpoint, and probe it if what it can do is no data; once for all fits.

        Raises:
            UnavailableError: it does not answer, or the model was shut down.
            EndpointError: it refuses the API key, or does not serve the model.
            StoppedError: it cannot be probed.
            SpendingCapError: to probe it might cost more than may be spent.
        """
        runner = self.runner
        api_key = read_key(runner.key_from) if runner.key_from else NO_KEY
        listed = self._listed(api_key)
        name = self._named(listed)
        said = (listed or {}).get(name, {})
        price = runner.live_price()
        announced = _date(said.get("shutdown_date"))
        self._demand_served(name, price, announced)
        self._note(name, price, announced)
        facts: dict[str, Json] = {
            "engine": "openai",
            "served_as": name,
            "shutdown_date": None if announced is None else str(announced),
            "warnings": list(self.notes),
        }
        ledger = Ledger(folder / "spent.jsonl")
        can = runner.known_capabilities()
        if can is None:
            spending = Spending(price, ledger.left(self.max_usd, self.claimed_usd), name)
            try:
                found, usage = asyncio.run(self._probed(name, api_key, spending))
            finally:
                usd = None if price is None else spending.usd + spending.unknown_usd
                ledger.add(usd or 0.0, "a probe")
            can = found.capabilities
            facts["capabilities"] = found.as_json()
            facts["probe"] = {
                "requests": found.n_requests,
                "tokens_in": usage.tokens_in,
                "tokens_out": usage.tokens_out,
                "usd": usd,
            }
        length = said.get("max_model_len")
        told = {
            NAME: name,
            FOUND: json.dumps(sorted(can)),
            LIMIT: str(runner.context(length if isinstance(length, int) else None)),
            ROOT: str(said.get("root") or ""),
            LENGTH: str(length or ""),
        }
        keep_finding(self._found_as, told)
        return {**told, FACTS: json.dumps(facts), LEDGER: str(ledger.path)}

    def last_found(self) -> dict[str, str] | None:
        """Return what it was found to be when it was last used; ``None``: it never was."""
        return finding_of(self._found_as, _KEPT)

    def alive(self) -> bool:
        """Return that it runs: what fails there is said by its replies."""
        return True

    def stop(self) -> None:
        """Leave it alone."""

    @property
    def _found_as(self) -> str:
        # With a tokenizer it is probed for more.
        return f"{self.key}{', by tokens' if self.runner.tokenizer else ''}"

    def _listed(self, api_key: str) -> dict[str, dict[str, Any]] | None:
        """Return what ``/models`` lists, by name; ``None`` where there is no such list."""
        url = self.runner.base_url
        try:
            said = get(f"{url}/models", api_key=api_key, seconds=30)
        except OSError as problem:
            raise UnavailableError(f"{url} does not answer ({problem}).") from None
        if said.status == _REFUSED:
            raise EndpointError(
                f"{url} refuses the API key (401)."
                f" {f'Check {self.runner.key_from}.' if self.runner.key_from else _NAME_A_KEY}"
            )
        try:
            return {str(one["id"]): dict(one) for one in said.json()["data"]}
        except (ValueError, KeyError, TypeError):
            return None  # gateways may have none, or keep it to themselves

    def _named(self, listed: Mapping[str, Mapping[str, Any]] | None) -> str:
        """Return the name that requests carry."""
        name = self.runner.sent_name
        if name:
            return name
        if listed is not None and len(listed) == 1:
            return next(iter(listed))
        found = ", ".join(sorted(listed or ())) or "nothing that it tells"
        raise SettingError(
            f"url = '{self.runner.url}' serves {found}: name one of its models as model=NAME."
        )

    def _demand_served(self, name: str, price: Price | None, announced: date | None) -> None:
        """Raise `UnavailableError` if the endpoint says that the model is shut down."""
        dated = price if price is not None else Price(name, 0.0, 0.0)
        reason = dated.refusal(today(), announced) if announced is not None else None
        if reason is not None:
            raise UnavailableError(reason)

    def _note(self, name: str, price: Price | None, announced: date | None) -> None:
        runner = self.runner
        if announced is not None or runner.at_openai:
            dated = price if price is not None else Price(name, 0.0, 0.0)
            if (soon := dated.warning(today(), announced)) is not None:
                self.notes.append(soon)
        if runner.delivery == "batch":
            self.notes.append(
                "A batch is answered within a day. End this and run it again: it goes on waiting"
            )
        if (alias := runner.told_prices.alias_warning(name)) is not None:
            self.notes.append(alias)

    async def _probed(self, name: str, api_key: str, spending: Spending) -> tuple[Probed, Usage]:
        async with OpenAIClient(self.runner.base_url, api_key) as client:
            reserve = self.runner.reasoning_reserve()
            counting = _Counting(client, self.runner.dress, reserve, spending)
            found = await probe(
                counting,
                name,
                capabilities=CAPABILITIES if self.runner.tokenizer else OF_MESSAGES,
                redact=Redactor([api_key]),
            )
        return found, counting.usage


_NAME_A_KEY = "Name the environment variable that holds one as key_variable=NAME."


class _Counting:
    """A client that asks as the runner will, counts what it is billed, and holds the limit."""

    def __init__(self, client: Client, dress: Dress, reserve: int, spending: Spending) -> None:
        self.usage = Usage()
        self._client, self._dress, self._reserve = client, dress, reserve
        self._spending = spending

    async def post(self, path: str, body: Mapping[str, Json], timeout: float) -> Reply:
        """Return the reply to ``body``, which a chat request of ours would look like.

        Raises:
            SpendingCapError: it might cost more than is left.
        """
        sent = dict(body)
        if path.endswith("/chat/completions"):
            sent = self._dress.undressed(sent)
            cap = sent.get("max_completion_tokens")
            if isinstance(cap, int):
                sent["max_completion_tokens"] = cap + self._reserve
        reservation = self._spending.reserve(len(canonical(sent)), output_bound(sent))
        if reservation is None:
            raise self._spending.cap_error()
        usage: Usage | None = None  # of a reply that is lost nobody knows it
        try:
            reply = await self._client.post(path, sent, timeout)
            usage = _usage(reply.text) if reply.status == _OK else Usage()
        finally:
            self._spending.settle(reservation, usage)
        self.usage += usage or Usage()
        return reply


def _usage(text: str) -> Usage | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return Usage.of(found) if isinstance(found, dict) else None


def _date(said: object) -> date | None:
    """Return a date that an endpoint says, as 2027-01-14 or with a time after it."""
    try:
        return date.fromisoformat(str(said)[:10]) if said else None
    except ValueError:
        return None
