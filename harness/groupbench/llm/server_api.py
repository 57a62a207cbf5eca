"""What an OpenAI-compatible server says of itself: its models, its version, how it tokenizes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    BaseHandler,
    HTTPRedirectHandler,
    ProxyHandler,
    Request,
    build_opener,
)

from groupbench.errors import GroupbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFUSED = frozenset({401, 403})


class ServerError(GroupbenchError):
    """A server that did not start, or does not answer as it should."""


class _StayHere(HTTPRedirectHandler):
    """Follows no redirect: keys and text go to the server that was named, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        """Return no request, so that the redirect is the reply."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a server said to a question about itself."""

    status: int
    text: str

    def json(self) -> Any:  # noqa: ANN401 - whatever it said
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.text)


def get(
    url: str, *, api_key: str = "", body: Mapping[str, Any] | None = None, seconds: float = 10.0
) -> Said:
    """Return what a server says at ``url``, of whatever status; with ``body``, it is posted.

    For questions about the server itself. What is asked of its model goes through a `Client`.

    Raises:
        OSError: no reply came.
    """
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    data = None
    if body is not None:
        data, headers["content-type"] = json.dumps(body).encode(), "application/json"
    request = Request(url, data=data, headers=headers)  # noqa: S310 - the user's, or our own server
    handlers: list[BaseHandler] = [_StayHere()]
    if is_loopback(url):
        handlers.append(ProxyHandler({}))  # it has no part in what this machine says to itself
    try:
        with build_opener(*handlers).open(request, timeout=seconds) as reply:
            return Said(reply.status, reply.read().decode("utf-8", "replace"))
    except HTTPError as refusal:
        with refusal:
            return Said(refusal.code, refusal.read().decode("utf-8", "replace"))
    except URLError as problem:
        refused = isinstance(problem.reason, ConnectionRefusedError)
        what = ConnectionRefusedError if refused else ConnectionError
        raise what(str(problem.reason)) from None


def served_models(url: str, api_key: str = "") -> dict[str, dict[str, Any]]:
    """Return what ``/models`` lists, by name.

    Raises:
        OSError: no reply came.
        ServerError: it is no list of models.
    """
    said = get(f"{url.rstrip('/')}/models", api_key=api_key)
    if said.status in _REFUSED:
        raise ServerError(f"url = '{url}': the server refuses the API key ({said.status}).")
    try:
        listed = said.json()["data"]
        return {str(model["id"]): dict(model) for model in listed}
    except (ValueError, KeyError, TypeError):
        raise ServerError(
            f"url = '{url}': /models answers {said.status} and no list of models; give the URL of"
            " an OpenAI-compatible API, as http://host:8000/v1."
        ) from None


def server_root(url: str) -> str:
    """Return the URL of the server whose API is at ``url``.

    >>> server_root("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000'
    """
    return url.rstrip("/").removesuffix("/v1")


def is_loopback(url: str) -> bool:
    """Return whether ``url`` is of this machine.

    >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("http://gpu:8000/v1")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def facts_of(url: str, model: str, api_key: str) -> dict[str, str]:
    """Return what a server says of itself: ``model``, ``version``, ``max_model_len``, ``root``.

    Facts that it does not say are empty.

    Raises:
        ServerError: it does not answer, or does not serve the model.
    """
    try:
        listed = served_models(url, api_key)
        said = get(f"{server_root(url)}/version", api_key=api_key)
    except OSError as problem:
        raise ServerError(f"url = '{url}': no server answers ({problem}).") from None
    if model not in listed:
        raise ServerError(
            f"url = '{url}' serves {', '.join(sorted(listed)) or 'nothing'}, not {model}."
        )
    try:
        version = said.json()["version"]
    except (ValueError, KeyError, TypeError):
        version = ""
    entry = listed[model]
    return {
        "model": model,
        "version": str(version),
        "max_model_len": str(entry.get("max_model_len") or ""),
        "root": str(entry.get("root") or ""),
    }


def tokenized(url: str, model: str, text: str, api_key: str) -> list[int] | None:
    """Return the token ids that a server makes of ``text``; ``None`` if it does not say.

    No special tokens are added; those written out in the text are read as such.

    Raises:
        ServerError: it does not answer.
    """
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    try:
        said = get(f"{server_root(url)}/tokenize", api_key=api_key, body=body, seconds=60)
        return [int(token) for token in said.json()["tokens"]]
    except OSError as problem:
        raise ServerError(f"url = '{url}': /tokenize does not answer ({problem}).") from None
    except (ValueError, KeyError, TypeError):
        return None
