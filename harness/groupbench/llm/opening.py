"""A fit's model behind a server: client, response store, budget and requester put together."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.llm.ledger import Ledger
from groupbench.llm.requests import Requester
from groupbench.llm.responses import ResponseStore, default_path
from groupbench.llm.served import ServedModel
from groupbench.llm.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from groupbench.canonical import Json
    from groupbench.llm.client import Client
    from groupbench.llm.model import Abilities
    from groupbench.llm.pace import Patience
    from groupbench.llm.prices import Price
    from groupbench.llm.responses import Served
    from groupbench.llm.secrets import Redactor
    from groupbench.llm.served import Asks
    from groupbench.runner import FitRequest

LEDGER = "ledger"
"""Of a service's address: the file of the run's `Ledger`, where it keeps one."""


@contextmanager
def open_served(  # noqa: PLR0913 - one for each part it ties together
    request: FitRequest,
    client: AbstractAsyncContextManager[Client],
    name: str,
    served: Served,
    abilities: Abilities,
    *,
    price: Price | None = None,
    at_once: int = 16,
    patience: Patience | None = None,
    redact: Redactor | None = None,
    dress: Callable[[dict[str, Json]], dict[str, Json]] | None = None,
    mend: Callable[[], Awaitable[None]] | None = None,
    facts: Mapping[str, Json] | None = None,
    deliver: Callable[[Client, ResponseStore, Spending, Ledger], Asks] | None = None,
) -> Iterator[ServedModel]:
    """Return the model of a fit, which asks a server through ``client``.

    Args:
        request: the fit: what it may spend, and the address of its service.
        client: reaches the server; entered here, and left at the end.
        name: of the model, as the server knows it.
        served: what answers; part of the key of every stored response.
        abilities: what the server was found to do with the model.
        price: what it costs; ``None``: that is not known, and dollars are not counted.
        at_once: the most requests in flight.
        patience: time-outs, attempts and waits.
        redact: strikes keys out of all that the server says.
        dress: changes the body of a chat request into what the provider wants.
        mend: awaited after a failure; raises where the server is gone.
        facts: for the record: what serves.
        deliver: makes what asks, where that is no `Requester`: a batch, say. It keeps the ledger.

    Raises:
        SettingError: dollars are limited and the price is not known; nothing was sent.
        StoreError: the response store cannot be used.
    """
    path = request.service.get(LEDGER)
    ledger = Ledger(Path(path) if path else None)
    spending = Spending(price, ledger.left(request.max_usd, request.claimed_usd), name)
    with asyncio.Runner() as loop, ResponseStore(default_path()) as store:
        entered = loop.run(client.__aenter__())
        asks: Asks
        if deliver is not None:
            asks = deliver(entered, store, spending, ledger)
        else:
            asks = Requester(
                entered,
                served,
                store=store,
                spending=spending,
                at_once=at_once,
                patience=patience,
                redact=redact,
                mend=mend,
            )
        try:
            yield ServedModel(asks, loop, name, abilities, facts=facts, dress=dress)
        except BaseException:
            if deliver is None:
                spent = spending.usd + spending.unknown_usd + spending.reserved_usd
                ledger.add(spent, "a failed fit")
            raise
        finally:
            loop.run(client.__aexit__(None, None, None))
