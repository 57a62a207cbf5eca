"""Where the text of a label begins and ends, in tokens.

``tokenize(a + b)`` is not ``tokenize(a) + tokenize(b)``: one tokenizer wants ``positive`` after the
turn's header, another `` positive``, and what it makes of a label alone may be neither. So context
and label are always tokenised together, as they will be read, and cut apart by their offsets.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from groupbench.errors import SettingError
from groupbench.llm.encoding import Encoder
from groupbench.llm.tokenizer import opens_with_bos

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.llm.tokenizer import Encoded, Span, Tokenizer


_NEAR = 256
"""Characters before the end of a prompt where the last place to cut it is looked for first."""


class TemplateRewritesTurns(SettingError):  # noqa: N818 - what a template does
    """A chat template changes what an answer says, so that labels cannot be scored through it."""


class DoubleBos(SettingError):  # noqa: N818 - what a prompt has
    """A prompt that opens with two BOS tokens, which costs a model several points."""


@dataclass(frozen=True, slots=True)
class LabelTokens:
    """A context and the continuation of each label, as token ids."""

    context: tuple[int, ...]
    continuations: Mapping[str, tuple[int, ...]]
    with_end: bool = False
    """Whether the end mark is scored: only where one label begins with another."""
    backed_off: int = 0
    """Tokens of the prompt that moved into the continuations: a token spans the joint."""


@dataclass(frozen=True, slots=True)
class Joint:
    """What stands between a prompt and its answer, and what ends the answer."""

    separator: str
    end: str


_Tail = tuple[list[int], int]
"""Ids of the end of a prompt, an answer and its end mark, and how many of them are the mark's."""


class _Cut(NamedTuple):
    """Where tails of one prompt part."""

    n_shared: int
    """Ids at their beginning that all share, the prompt's among them."""
    continuations: Mapping[str, tuple[int, ...]]
    with_end: bool


class Splitter:
    """Cuts prompts and labels apart for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Make the splitter. ``tokenizer``: a fast one, since offsets are needed."""
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer)
        self._last: dict[int, tuple[list[str], list[Encoded]]] = {}
        self._given: tuple[list[int], list[_Tail], tuple[str, ...]] = ([], [], ())
        self._cut = _Cut(0, {}, with_end=False)

    def split(
        self,
        prompt: str,
        sent: Sequence[int],
        joint: Joint,
        surfaces: Mapping[str, str],
        plain: Sequence[Span] = (),
    ) -> LabelTokens:
        """Return the token ids of ``prompt`` and of each label's continuation.

        Args:
            prompt: rendered up to the answer.
            sent: its token ids, with the BOS it is sent with.
            joint: of the rendering.
            surfaces: what each label is called.
            plain: where the prompt holds special tokens as plain characters.
        """
        fixed, tails = self._tails(prompt, sent, joint, tuple(surfaces.values()), plain)
        given = list(sent[fixed:]), tails, tuple(surfaces)
        if self._given != given:  # prompts often end alike
            self._given, self._cut = given, _cut(*given)
        n = fixed + self._cut.n_shared
        return LabelTokens(
            context=tuple(sent[:n]),
            continuations=self._cut.continuations,
            with_end=self._cut.with_end,
            backed_off=len(sent) - n,
        )

    def after(
        self,
        prompt: str,
        sent: Sequence[int],
        joint: Joint,
        answer: str,
        plain: Sequence[Span] = (),
    ) -> tuple[int, ...]:
        """Return the token ids of an answer and its end mark after exactly ``sent``.

        Args:
            prompt: rendered up to the answer.
            sent: its token ids, with the BOS it is sent with.
            joint: of the rendering.
            answer: what follows.
            plain: where the prompt holds special tokens as plain characters.

        Raises:
            SettingError: a token spans the joint, so that what is trained on would not be what is
                asked.
        """
        fixed, ((ids, _),) = self._tails(prompt, sent, joint, (answer,), plain)
        rest = list(sent[fixed:])
        if ids[: len(rest)] != rest:
            raise SettingError(
                f"A token spans the end of the prompt, {prompt[-12:]!r}, and the answer"
                f" {answer[:24]!r}: end the cue without a blank in [prompt], or use another"
                " template."
            )
        return tuple(ids[len(rest) :])

    def _tails(
        self,
        prompt: str,
        sent: Sequence[int],
        joint: Joint,
        answers: Sequence[str],
        plain: Sequence[Span],
    ) -> tuple[int, list[_Tail]]:
        """Return the ids of prompt, answer and end, and how many of them are the end's.

        The first number says how many ids of ``sent`` come before those of each answer.
        """
        fixed, at = self._stable_cut(prompt, sent, plain)
        tail = prompt[at:] + joint.separator
        in_tail = _from(at, plain)
        encodings = self._encoded(
            [tail + answer + joint.end for answer in answers],
            [[*in_tail, *self._encoder.spans(each, len(tail))] for each in answers],
        )
        head: list[int] = []
        if not at:
            _, head = with_bos(self._tokenizer, encodings[0][0], opens=self._encoder.opens_with_bos)
        found = []
        for answer, (ids, spans) in zip(answers, encodings, strict=True):
            stop = len(tail) + len(answer)
            n_end = len(spans) - bisect_left(spans, (stop, 0))
            found.append(([*head, *ids], n_end))
        return fixed, found

    def _encoded(self, texts: list[str], plain: list[list[Span]]) -> list[Encoded]:
        """Return the ids and spans of texts. Prompts often end alike, so the last are kept."""
        if any(plain):
            return self._encoder.encode_all(texts, plain)
        known, found = self._last.get(len(texts), ([], []))
        if known != texts:
            found = self._encoder.encode_all(texts, plain)
            self._last[len(texts)] = texts, found
        return found

    def _stable_cut(
        self, prompt: str, sent: Sequence[int], plain: Sequence[Span]
    ) -> tuple[int, int]:
        """Return (token, character) from which on the prompt may be tokenised alone.

        That is the last special token or line, see `Encoder.starts`. That it holds is tried on the
        prompt; else all is tokenised again for every label.
        """
        if plain:
            found = [a for a, b in self._encoder.spans(prompt) if (a, b) not in set(plain)]
        else:
            near, end = max(1, len(prompt) - _NEAR), len(prompt)
            found = self._encoder.starts(prompt, near, end) or self._encoder.starts(prompt, 1, end)
        at = found[-1] if found else 0
        if at:
            ((tail, _),) = self._encoded([prompt[at:]], [_from(at, plain)])
            if list(sent[-len(tail) :]) == tail:
                return len(sent) - len(tail), at
        return 0, 0


def _cut(sent: Sequence[int], tails: Sequence[_Tail], labels: Sequence[str]) -> _Cut:
    """Return where the tails of labels part from each other and from what is sent."""
    n = common_prefix([sent, *(ids for ids, _ in tails)])
    whole, bare = {}, {}
    for label, (ids, n_end) in zip(labels, tails, strict=True):
        whole[label] = tuple(ids[n:])
        bare[label] = whole[label][: len(ids) - n - n_end]
    clash = any(
        a != b and longer[: len(ids)] == ids  # an empty one clashes with all
        for a, ids in bare.items()
        for b, longer in bare.items()
    )
    return _Cut(n, whole if clash else bare, clash)


def _from(at: int, spans: Sequence[Span]) -> list[Span]:
    """Return the spans from a character on, counted from there."""
    return [(start - at, stop - at) for start, stop in spans if start >= at]


def split_labels(
    tokenizer: Tokenizer, prompt: str, joint: Joint, surfaces: Mapping[str, str]
) -> LabelTokens:
    """Return the token ids of a rendered prompt and of each label's continuation.

    Args:
        tokenizer: a fast one.
        prompt: rendered up to the answer.
        joint: what the rendering puts around an answer.
        surfaces: what each label is called.

    Raises:
        DoubleBos: the prompt opens with two.
    """
    sent, _ = with_bos(tokenizer, tokenizer(prompt, add_special_tokens=False).input_ids)
    return Splitter(tokenizer).split(prompt, sent, joint, surfaces)


def with_bos(
    tokenizer: Tokenizer, ids: Sequence[int], *, opens: bool | None = None
) -> tuple[tuple[int, ...], list[int]]:
    """Return ``ids`` with exactly one BOS before them where the tokenizer wants one, and that BOS.

    The second is empty where the template gave it already. Later ones are right: some templates
    open every turn with one.

    Args:
        tokenizer: of the model.
        ids: of a prompt.
        opens: whether the tokenizer puts one before a text, where that is known.

    Raises:
        DoubleBos: there are two.
    """
    bos = tokenizer.bos_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise DoubleBos(
            "The chat template opens a prompt with two BOS tokens; take the one out of the"
            " template, or give the tokenizer without its own."
        )
    lacks = bos is not None and list(ids[:1]) != [bos]
    if lacks and (opens_with_bos(tokenizer) if opens is None else opens):
        added = [bos] if bos is not None else []
    else:
        added = []
    return (*added, *ids), added


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Return how many leading items all sequences share.

    >>> common_prefix([[1, 2, 3], [1, 2], [1, 2, 4]])
    2
    """
    n = 0
    for items in zip(*sequences, strict=False):
        if len(set(items)) > 1:
            break
        n += 1
    return n
