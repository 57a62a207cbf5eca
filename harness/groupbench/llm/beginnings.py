"""How texts begin, tokenised once: prompts of one task share their instruction and their shots."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WORTH = 200
"""Characters that a beginning must have more than a known one, to be worth knowing."""

MOST = 4
"""Beginnings that are known at a time: with all shots, with fewer, and with none."""


class Beginnings:
    """Token ids of how texts begin.

    A fast tokenizer splits a text at certain places first and treats each stretch by itself, so
    that from such a place on it may be tokenised alone. That it holds is tried on each beginning,
    and where it does not, every text is tokenised whole.
    """

    def __init__(
        self, encode: Callable[[str], list[int]], starts: Callable[[str, int, int], Sequence[int]]
    ) -> None:
        """Know nothing yet.

        Args:
            encode: returns the ids of a text.
            starts: returns the places of a text, ascending and within two bounds, from which on it
                is a stretch of its own; the bounds are places too.
        """
        self._encode, self._starts = encode, starts
        self._known: dict[str, list[int]] = {}
        self._last = ""
        self._split = True

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text: those of the whole, whatever is known of it."""
        if not self._split:
            return self._encode(text)
        head = max((each for each in self._known if self._fits(each, text)), key=len, default="")
        shared = n_shared(self._last, text)
        self._last = text
        if shared > len(head) + WORTH and (starts := self._starts(text, 1, shared)):
            return self._learn(text, starts[-1])
        if not head:
            return self._encode(text)
        ids = self._known[head] = self._known.pop(head)  # the last one used goes last
        return [*ids, *self._encode(text[len(head) :])]

    def _fits(self, head: str, text: str) -> bool:
        at = len(head)
        return text.startswith(head) and bool(self._starts(text, at, at))

    def _learn(self, text: str, at: int) -> list[int]:
        whole, tail = self._encode(text), self._encode(text[at:])
        n = len(whole) - len(tail)
        if whole[n:] != tail:
            self._split = False
            self._known.clear()
            return whole
        self._known.pop(text[:at], None)
        self._known[text[:at]] = whole[:n]
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        return whole


def n_shared(a: str, b: str) -> int:
    """Return how many leading characters two texts share.

    >>> n_shared("prompt", "promise")
    4
    """
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
