"""How an answer is asked for and read, and which way a server and a task allow."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from groupbench.errors import SettingError
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Collection


class Mode(StrEnum):
    """How an answer is asked for and read."""

    SCORE = "score"
    """The log-likelihood of every label; gives probabilities."""
    CHOICE = "choice"
    """Decoding constrained to the labels' surfaces."""
    JSON = "json"
    """JSON by a schema: a label, a boolean for each label, or entities."""
    TEXT = "text"
    """Free text, read tolerantly."""


AUTO = "auto"

NEEDS: dict[Mode, tuple[frozenset[str], ...]] = {
    Mode.SCORE: (
        frozenset({"token_prompts", "label_reads"}),
        frozenset({"token_prompts", "echo_scores"}),
    ),
    Mode.CHOICE: (frozenset({"choice"}),),
    Mode.JSON: (frozenset({"json_schema"}),),
    Mode.TEXT: (frozenset({"chat"}),),
}
"""Capabilities of a server that a mode needs; any one of the sets will do."""


COMPACT = "json_compact"
"""The capability of writing JSON by a schema without blanks in between. Without it ``auto`` asks
for entities in free text."""


def choose_mode(wanted: str, kind: Kind, capabilities: Collection[str]) -> Mode:
    """Return the mode in which a task of ``kind`` is answered.

    Args:
        wanted: a mode's name, or ``auto``: the first of score, json and text that can be had.
        kind: of the task. Entities are written, never scored or chosen.
        capabilities: what the server was found to do, named as in `NEEDS`.

    Raises:
        SettingError: there is no such mode, the kind cannot be answered so, or the server cannot.
    """
    if wanted == AUTO:
        for mode in (Mode.SCORE, Mode.JSON, Mode.TEXT):
            if _fits(mode, kind) and _can(mode, capabilities):
                # A grammar lets blanks run on for ever; in a long answer they do, to its cap.
                lax = mode is Mode.JSON and kind is Kind.TOKEN and COMPACT not in capabilities
                if not (lax and _can(Mode.TEXT, capabilities)):
                    return mode
        raise SettingError(
            f"mode = 'auto': the server can do none of {', '.join(_modes(kind))}; it can"
            f" {', '.join(sorted(capabilities)) or 'nothing'}."
        )
    if wanted not in set(Mode):
        raise SettingError(f"mode = {wanted!r} is not one of auto, {', '.join(Mode)}.")
    mode = Mode(wanted)
    demand_mode(mode, kind)
    if not _can(mode, capabilities):
        lacking = [sorted(need.difference(capabilities)) for need in NEEDS[mode]]
        missing = min(lacking, key=len)
        raise SettingError(
            f"mode = '{mode}' needs {' and '.join(missing)}, which the server cannot do; use auto."
        )
    return mode


def demand_mode(mode: Mode, kind: Kind) -> None:
    """Raise `SettingError` where a task of ``kind`` cannot be answered in ``mode``."""
    if not _fits(mode, kind):
        raise SettingError(
            f"mode = '{mode}': a {kind} task is not answered so; use {' or '.join(_modes(kind))}."
        )


def _modes(kind: Kind) -> list[Mode]:
    return [mode for mode in Mode if _fits(mode, kind)]


def _fits(mode: Mode, kind: Kind) -> bool:
    return kind is not Kind.TOKEN or mode in {Mode.JSON, Mode.TEXT}


def _can(mode: Mode, capabilities: Collection[str]) -> bool:
    return any(need <= set(capabilities) for need in NEEDS[mode])
