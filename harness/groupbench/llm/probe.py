"""The probe: what a server can really do, found out by some 15 short requests.

A 200 proves nothing: servers ignore fields they do not know. So each question asks for what no
model says by itself, and counts only if the reply holds it. Nothing is inferred from names.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from groupbench.llm.pace import Patience
from groupbench.llm.probe_calls import (
    SHOWN,
    Calls,
    Lacks,
    chat_body,
    choices_of,
    completion_body,
    first_of,
    n_tokens,
    text_of,
)
from groupbench.llm.secrets import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.canonical import Json
    from groupbench.llm.client import Client

CAPABILITIES = (
    "chat",
    "usage",
    "token_prompts",
    "batch_prompts",
    "choice",
    "json_schema",
    "json_compact",
    "top_logprobs",
    "label_reads",
    "echo_scores",
    "seed",
    "model_404",
)
"""All that is asked about, in order."""

OF_MESSAGES = (
    "chat",
    "usage",
    "choice",
    "json_schema",
    "json_compact",
    "top_logprobs",
    "seed",
    "model_404",
)
"""Of those, what matters to a runner that sends messages."""

NONCE = "zq7"
"""What no model says by itself."""

_NOT_FOUND = 404
_PATIENCE = Patience(tries=4, attempt_seconds=60)
_TOKENS = (11, 12, 13, 14)
_READ = (3, 5, 7, 11, 13, 17)
_LARGEST_SUM = 1.001
"""Of probabilities that were rounded."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a server was found to do."""

    capabilities: frozenset[str]
    """Of `CAPABILITIES`; `groupbench.llm.modes.NEEDS` says what each mode needs of them."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Why each of the others is not among them."""
    n_requests: int = 0

    def as_json(self) -> dict[str, Json]:
        """Return what is stored with a fit."""
        return {"can": sorted(self.capabilities), "lacking": dict(self.lacking)}


async def probe(  # noqa: PLR0913 - whom to ask what, and how
    client: Client,
    model: str,
    *,
    capabilities: Sequence[str] = CAPABILITIES,
    token_ids: Sequence[int] = _TOKENS,
    patience: Patience = _PATIENCE,
    redact: Redactor | None = None,
) -> Probed:
    """Find out what the server behind ``client`` can do with ``model``.

    What a runner sends to ``/completions`` is asked about there if token ids are understood, else
    at ``/chat/completions``.

    Args:
        client: reaches the server.
        model: the name it is served under.
        capabilities: what to ask about, in the order of `CAPABILITIES`.
        token_ids: four of the model's vocabulary, none of them special.
        patience: with a server that is busy.
        redact: strikes keys out of what the server says.

    Raises:
        StoppedError: it cannot be reached, refuses the key, or answers for another model.
    """
    calls = Calls(client, model, patience, redact or Redactor())
    asking = _Asking(calls, model, tuple(token_ids))
    found: dict[str, str | None] = {}
    for name in capabilities:
        found[name] = await getattr(asking, f"ask_{name}")()
        if name == "chat" and found[name] is None:
            asking.chats = True
        if name == "token_prompts":
            asking.takes_tokens = found[name] is None
    return Probed(
        capabilities=frozenset(name for name, why in found.items() if why is None),
        lacking={name: why for name, why in found.items() if why is not None},
        n_requests=calls.n_requests,
    )


class _Asking:
    """Asks about one capability after the other; each method returns why it is lacking."""

    def __init__(
        self,
        calls: Calls,
        model: str,
        token_ids: tuple[int, ...],
    ) -> None:
        self.chats = False
        self.takes_tokens = False
        self._calls, self._model, self._token_ids = calls, model, token_ids
        self._usage: object = None
        self._reads = False

    async def ask_chat(self) -> str | None:
        try:
            reply = await self._calls.chat("Say yes.", 4)
            self._usage = reply.get("usage")
            text_of(reply)
        except Lacks as lacks:
            return str(lacks)
        return None

    async def ask_usage(self) -> str | None:
        try:
            if self._usage is None:
                self._usage = (await self._calls.complete(["Say yes."], 4)).get("usage")
            n_tokens(self._usage, "prompt_tokens")
            n = n_tokens(self._usage, "completion_tokens")
        except Lacks as lacks:
            return str(lacks)
        return None if n <= 4 else f"4 tokens were allowed and {n} counted"  # noqa: PLR2004 - as asked

    async def ask_token_prompts(self) -> str | None:
        return await self._ask_ids([list(self._token_ids)])

    async def ask_batch_prompts(self) -> str | None:
        return await self._ask_ids([list(self._token_ids), list(self._token_ids[:3])])

    async def ask_choice(self) -> str | None:
        choices = [NONCE, f"{NONCE}x"]
        try:
            # As a runner asks: only where ids are sent is it worth knowing how a choice is spelt.
            told = {"return_token_ids": True} if self.takes_tokens else {}
            bound: Json = {"choice": list(choices)}
            reply = await self._say("Say yes or no.", 12, structured_outputs=bound, **told)
            text = text_of(reply)
        except Lacks as lacks:
            return str(lacks)
        return None if text in choices else f"of {choices} it chose {text[:SHOWN]!r}"

    async def ask_json_schema(self) -> str | None:
        try:
            text = await self._ask_json("Say yes or no.", {"answer": _enum(NONCE)}, 48)
        except Lacks as lacks:
            return str(lacks)
        try:
            said = json.loads(text)
        except ValueError:
            # Blanks without end are grammatical: that is `json_compact`'s business.
            said = {"answer": NONCE} if text.strip() == "{" else None
        if said == {"answer": NONCE}:
            return None
        return f"the schema wanted {NONCE} and it wrote {text[:SHOWN]!r}"

    async def ask_json_compact(self) -> str | None:
        names = ("a", "b", "c")
        wanted = dict.fromkeys(names, NONCE)
        indented = json.dumps(wanted, indent=8)
        try:
            text = await self._ask_json(
                f"Repeat this, with all its line breaks and blanks:\n{indented}",
                {name: _enum(NONCE) for name in names},
                96,
            )
        except Lacks as lacks:
            return str(lacks)
        if text in {json.dumps(wanted), json.dumps(wanted, separators=(",", ":"))}:
            return None
        return f"it may write blanks where it likes: {text[:SHOWN]!r}"

    async def ask_top_logprobs(self) -> str | None:
        try:
            if self.chats:
                reply = await self._calls.chat("Say yes.", 1, logprobs=True, top_logprobs=2)
                top = [
                    one["logprob"]
                    for one in first_of(reply)["logprobs"]["content"][0]["top_logprobs"]
                ]
            else:
                reply = await self._calls.complete(["Say yes."], 1, logprobs=2)
                top = list(first_of(reply)["logprobs"]["top_logprobs"][0].values())
        except Lacks as lacks:
            return str(lacks)
        except (KeyError, TypeError, IndexError, AttributeError):
            return "2 log-probabilities were wanted and none came"
        if len(top) < 2 or not _are_log_probs(top):  # noqa: PLR2004 - as asked
            return f"2 log-probabilities were wanted and {str(top)[:SHOWN]} came"
        return None

    async def ask_label_reads(self) -> str | None:
        prompts = [list(self._token_ids), list(self._token_ids[:3])]
        try:
            reply = await self._calls.complete(
                prompts,
                1,
                logprobs=1,
                logprob_token_ids=list(_READ),
                return_tokens_as_token_ids=True,
            )
            for choice in choices_of(reply, len(prompts)):
                read = choice["logprobs"]["top_logprobs"][0]
                values = [read[f"token_id:{token}"] for token in _READ]
                if not _are_log_probs(values):
                    return f"what it read are no log-probabilities: {str(values)[:SHOWN]}"
        except Lacks as lacks:
            return str(lacks)
        except (KeyError, TypeError, IndexError, AttributeError):
            return "logprob_token_ids: the tokens that were asked for were not read"
        self._reads = True
        return None

    async def ask_echo_scores(self) -> str | None:
        if self._reads:
            # Needed only instead of label reads, and it has killed engines that serve adapters.
            return "not asked: labels can be read"
        ids = list(self._token_ids)
        try:
            reply = await self._calls.complete(
                [ids], 1, echo=True, logprobs=1, return_tokens_as_token_ids=True
            )
            logprobs = first_of(reply)["logprobs"]
            tokens, values = logprobs["tokens"], logprobs["token_logprobs"]
        except Lacks as lacks:
            return str(lacks)
        except (KeyError, TypeError, IndexError, AttributeError):
            return "echo: no log-probabilities of the prompt came"
        if tokens[: len(ids)] != [f"token_id:{token}" for token in ids]:
            return f"echo: the prompt's tokens came back as {str(tokens)[:SHOWN]}"
        scored = values[1 : len(ids)]
        return None if _are_log_probs(scored, together=False) else "echo: not all are scored"

    async def ask_seed(self) -> str | None:
        said = []
        try:
            for seed in (7, 7, 8):
                reply = await self._say(
                    "Write a line of random letters.", 16, temperature=2.0, seed=seed
                )
                said.append(text_of(reply))
        except Lacks as lacks:
            return str(lacks)
        if said[0] != said[1]:
            return "the same seed gave two answers"
        return None if said[1] != said[2] else "two seeds gave the same answer"

    async def ask_model_404(self) -> str | None:
        name = f"{NONCE}-no-such-model"
        body = completion_body(name, 1, {"prompt": ["Say yes."]})
        path = "/completions"
        if self.chats:
            path, body = "/chat/completions", chat_body(name, "Say yes.", 1, {})
        reply = await self._calls.post(path, body)
        return None if reply.status == _NOT_FOUND else f"another model's name gave {reply.status}"

    async def _ask_ids(self, prompts: list[list[int]]) -> str | None:
        """Send token ids, which must be counted as so many tokens: digits as text are more."""
        n_sent = sum(map(len, prompts))
        try:
            reply = await self._calls.complete(prompts, 1)
            choices_of(reply, len(prompts))
            n = n_tokens(reply.get("usage"), "prompt_tokens")
        except Lacks as lacks:
            return str(lacks)
        return None if n == n_sent else f"{n_sent} token ids were counted as {n} tokens"

    async def _ask_json(self, text: str, properties: dict[str, Json], cap: int) -> str:
        schema: dict[str, Json] = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        named: dict[str, Json] = {"name": "answer", "schema": schema, "strict": True}
        reply = await self._say(
            text, cap, response_format={"type": "json_schema", "json_schema": named}
        )
        return text_of(reply)

    async def _say(self, text: str, cap: int, **fields: Json) -> Mapping[str, Any]:
        """Ask as a runner would: with token prompts it completes, else it chats."""
        if self.takes_tokens or not self.chats:
            return await self._calls.complete([text], cap, **fields)
        return await self._calls.chat(text, cap, **fields)


def _enum(value: str) -> Json:
    return {"type": "string", "enum": [value]}


def _are_log_probs(values: Sequence[object], *, together: bool = True) -> bool:
    """Return whether these are natural log-probabilities; ``together``: of different events."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) < len(values) or not numbers:
        return False
    if not all(math.isfinite(value) and value <= 0 for value in numbers):
        return False
    return not together or sum(map(math.exp, numbers)) <= _LARGEST_SUM
