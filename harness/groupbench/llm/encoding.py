"""Token ids of a rendered prompt: special tokens of the template are special, those of data not.

A text may hold ``<|eot_id|>`` or ``</s>`` as plain characters. Read as special tokens they would
end a turn or open one, so that an example could speak for the user or the model. Rendering notes
where such characters came from an example; here they are tokenised like any others.
"""

from __future__ import annotations

import re
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from groupbench.llm.beginnings import Beginnings
from groupbench.llm.tokenizer import encode_texts, opens_with_bos, special_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from groupbench.llm.tokenizer import Encoded, Span, Tokenizer

_NONCE = "zq7xv"
"""What no template says by itself."""
_FOREIGN = "\ue000"
"""A character that merges with no other, since no vocabulary holds it."""
_BREAKS = ("\n", "\n\n")
"""Before a line and before a paragraph; a tokenizer may join words over one and not the other."""


class Encoder:
    """Tokenises for one tokenizer. BOS is the caller's."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Make the encoder. ``tokenizer``: a fast one, since offsets are needed."""
        self._tokenizer = tokenizer
        self._special = special_tokens(tokenizer)
        longest_first = sorted(self._special, key=len, reverse=True)
        self.special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        """Finds what would be read as a special token."""
        self._alike: bool | None = None
        self._breaks: re.Pattern[str] | None = None
        self._opens: bool | None = None
        self._beginnings = Beginnings(
            lambda text: self._whole([text], plain=False)[0][0], self.starts
        )

    @property
    def opens_with_bos(self) -> bool:
        """Whether the tokenizer puts a BOS before a text. Tried once."""
        if self._opens is None:
            self._opens = opens_with_bos(self._tokenizer)
        return self._opens

    def ids(self, text: str, plain: Sequence[Span] = ()) -> list[int]:
        """Return the ids of a rendered prompt; what it shares with others is tokenised once.

        Args:
            text: rendered.
            plain: where special tokens are plain characters, in order.
        """
        return self.encode(text, plain)[0] if plain else self._beginnings.ids(text)

    def starts(self, text: str, low: int, high: int) -> list[int]:
        """Return the places from ``low`` to ``high`` from which on a text may be tokenised alone.

        They are those of special tokens, at which a text is split first, and of lines and
        paragraphs, where the tokenizer splits it into words.

        Args:
            text: without special tokens that are plain characters.
            low: the first place.
            high: the last one.
        """
        marks = self._at(self.special, text, low, high)
        return marks or self._at(self._between_words(), text, low, high)

    def encode(self, text: str, plain: Sequence[Span] = ()) -> Encoded:
        """Return the ids and character spans of a text's tokens.

        Args:
            text: rendered.
            plain: where special tokens are plain characters, in order.
        """
        if not plain:
            return self._whole([text], plain=False)[0]
        ids: list[int] = []
        spans: list[Span] = []
        for start, stop, is_plain in self._parts(text, plain):
            part = text[start:stop]
            found = (
                self._stretch(part, at=start) if is_plain else self._whole([part], plain=False)[0]
            )
            ids += found[0]
            spans += [(a + start, b + start) for a, b in found[1]]
        return ids, spans

    def encode_all(self, texts: Sequence[str], plain: Sequence[Sequence[Span]]) -> list[Encoded]:
        """Return `encode` of each text, at once where no characters are plain."""
        if any(plain):
            return [self.encode(*each) for each in zip(texts, plain, strict=True)]
        return self._whole(texts, plain=False)

    def spans(self, text: str, at: int = 0) -> list[Span]:
        """Return where ``text`` reads like special tokens, counted from ``at``."""
        return [(m.start() + at, m.end() + at) for m in self.special.finditer(text)]

    def plain_ids(self, text: str) -> list[int]:
        """Return the ids of a text all of which is plain."""
        return self._whole([text], plain=True)[0][0]

    def _parts(self, text: str, plain: Sequence[Span]) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, stop, whether plain): a stretch lies between two special tokens."""
        marks = [
            self._reach(text, *match.span())
            for match in self.special.finditer(text)
            if not any(a < match.end() and match.start() < b for a, b in plain)
        ]
        at = 0
        for (_, start), (stop, _) in pairwise([(0, 0), *marks, (len(text), len(text))]):
            if any(start <= a < stop for a, _ in plain):
                if at < start:
                    yield at, start, False
                yield start, stop, True
                at = stop
        if at < len(text):
            yield at, len(text), False

    def _reach(self, text: str, start: int, stop: int) -> Span:
        """Return the span of a special token with the blanks that it swallows."""
        token = self._special[text[start:stop]]
        if getattr(token, "lstrip", False):
            start = len(text[:start].rstrip())
        if getattr(token, "rstrip", False):
            stop = len(text) - len(text[stop:].lstrip())
        return start, stop

    def _stretch(self, part: str, at: int) -> Encoded:
        """Return the tokens of a stretch. Some tokenizers put a blank before a text's first one."""
        if at == 0 or self._stretches_are_alike():
            return self._whole([part], plain=True)[0]
        ids, spans = self._whole([_FOREIGN + part], plain=True)[0]
        n = sum(stop <= len(_FOREIGN) for _, stop in spans)
        return ids[n:], [(a - len(_FOREIGN), b - len(_FOREIGN)) for a, b in spans[n:]]

    def _stretches_are_alike(self) -> bool:
        """Return whether a text after a special token is tokenised as it is by itself. Tried."""
        if self._alike is None:
            mark = min(self._special)
            ids = self._whole([mark, "a", f"{mark}a"], plain=False)
            self._alike = [*ids[0][0], *ids[1][0]] == ids[2][0]
        return self._alike

    @staticmethod
    def _at(mark: re.Pattern[str], text: str, low: int, high: int) -> list[int]:
        if low == high:
            return [low] if mark.match(text, low) else []
        found = takewhile(
            lambda start: start <= high, (m.start() for m in mark.finditer(text, low))
        )
        return list(found)

    def _between_words(self) -> re.Pattern[str]:
        """Return what finds breaks after which a word is tokenised apart. Each is tried once.

        They stand between characters that no normalisation joins.
        """
        if self._breaks is None:
            apart = [f"(?<=[!-~]{each})(?=[A-Za-z])" for each in _BREAKS if self._splits_at(each)]
            self._breaks = re.compile("|".join(apart) or r"(?!)")
        return self._breaks

    def _splits_at(self, line_break: str) -> bool:
        text = f"Sentence: a{line_break}Answer: b"
        encoding = self._tokenizer(text, add_special_tokens=False)
        try:
            words = encoding.word_ids()
            at = encoding.char_to_token(text.index("Answer"))
            start = encoding.token_to_chars(at).start
        except (AttributeError, ValueError, TypeError):
            return False
        return bool(words[at - 1] != words[at] and text[start] == "A")

    def _whole(self, texts: Sequence[str], *, plain: bool) -> list[Encoded]:
        return encode_texts(self._tokenizer, texts, plain=plain)


def render_guarded(
    contents: Sequence[str],
    special: re.Pattern[str],
    render: Callable[[Sequence[str]], str],
) -> tuple[str, tuple[Span, ...]]:
    """Return a rendered text, and where in it special tokens come from what it was made of.

    Args:
        contents: what goes into the template.
        special: finds what would be read as a special token.
        render: makes the text of the contents.
    """
    if not any(special.search(content) for content in contents):
        return render(contents), ()
    nonce = _NONCE
    while any(nonce in content for content in contents):
        nonce += "q"
    found: list[str] = []

    def hide(match: re.Match[str]) -> str:
        found.append(match[0])
        return f"{nonce}{len(found) - 1}x"

    rendered = render([special.sub(hide, content) for content in contents])
    parts: list[str] = []
    spans: list[Span] = []
    at = length = 0
    for match in re.finditer(rf"{nonce}(\d+)x", rendered):
        before, token = rendered[at : match.start()], found[int(match[1])]
        length += len(before)
        spans.append((length, length + len(token)))
        length += len(token)
        parts += [before, token]
        at = match.end()
    return "".join([*parts, rendered[at:]]), tuple(spans)
