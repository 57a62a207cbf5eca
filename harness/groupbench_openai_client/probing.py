"""Probing a server once, when a run first needs it; its fits are told what was found."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from groupbench.llm.findings import finding_of, keep_finding
from groupbench.llm.probe import Probed, probe
from groupbench.llm.secrets import Redactor
from groupbench.llm.vllm_server import VllmServer
from groupbench_openai_client.client import client_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOUND = "probed"
"""Of an address: the finding, as JSON."""

_KEPT = ("model", "version", "max_model_len", "root", FOUND)


def probed(address: Mapping[str, str], key: str) -> dict[str, str]:
    """Return an address together with what its server was found to do.

    Args:
        address: of the server.
        key: of the service, under which `last_probed` finds it.

    Raises:
        StoppedError: the server does not answer, or refuses the key.
    """

    async def run() -> Probed:
        async with client_of(address["url"], address["api_key"]) as client:
            return await probe(client, address["model"], redact=Redactor([address["api_key"]]))

    found = {**address, FOUND: json.dumps(asyncio.run(run()).as_json())}
    keep_finding(key, {name: found[name] for name in _KEPT})
    return found


def last_probed(key: str) -> dict[str, str] | None:
    """Return what a service said and was found to do when it last ran; ``None``: it never did.

    It is an address without URL and API key.
    """
    return finding_of(key, _KEPT)


class ProbedServer(VllmServer):
    """A vLLM server that is probed when it is ready."""

    def start(self, folder: Path) -> Mapping[str, str]:
        """Start it, wait until it is ready, and probe it.

        Raises:
            ServerError: it did not start.
            StoppedError: it does not answer as it should.
        """
        address = super().start(folder)
        try:
            return probed(address, self.key)
        except BaseException:
            self.stop()
            raise
