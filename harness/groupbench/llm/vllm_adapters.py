"""Adapters that come and go in a vLLM server which the run started."""

from __future__ import annotations

import contextlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from groupbench.llm.server_api import ServerError, get

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from groupbench.llm.server_api import Said

_OK = 200
_SECONDS = 300.0
_SHOWN = 300


@contextmanager
def loaded(address: Mapping[str, str], name: str, folder: Path) -> Iterator[None]:
    """Serve the adapter in ``folder`` under ``name`` for a while.

    Args:
        address: of the server, with ``url`` and ``api_key``.
        name: says what the adapter is: two of one name have the same weights.
        folder: as peft writes it; the server reads it while it serves the adapter.

    Raises:
        ServerError: the server refuses it, or does not answer.
    """
    try:
        # One that a killed process left behind may have lost its folder.
        _post(address, "unload", name)
        said = _post(address, "load", name, lora_path=str(folder))
    except OSError as problem:
        raise ServerError(f"The vLLM server does not answer to an adapter ({problem}).") from None
    if said.status != _OK:
        raise ServerError(
            f"The vLLM server refuses the adapter {name} ({said.status}):"
            f" {' '.join(said.text.split())[:_SHOWN]}"
        )
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it died, which others say better
            _post(address, "unload", name)


def _post(address: Mapping[str, str], verb: str, name: str, **more: str) -> Said:
    url = f"{address['url'].rstrip('/')}/{verb}_lora_adapter"
    body = {"lora_name": name, **more}
    return get(url, api_key=address["api_key"], body=body, seconds=_SECONDS)
