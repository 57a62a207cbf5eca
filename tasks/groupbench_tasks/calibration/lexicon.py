"""Invented words and their hidden attributes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np

    from groupbench.predictions import FloatArray, IntArray

N_ATTRIBUTES = 3
N_COMBINATIONS = 2**N_ATTRIBUTES
MAX_DRAWS = 3000
"""Attribute tables tried before new words are invented."""
MAX_LEXICONS = 50

_CONSONANTS = "bdfgklmnprtvz"
_VOWELS = "aeiou"
_REAL = frozenset(
    """
    bad bag bal bam ban banda banjo bar bat bed beg bel bella ben bet bib bid big bin bingo
    bit bob bok bol bongo bop bot bub bud bug bul bun bur but combo dab dad dam dan del delta
    dem den dib did dig dim din dip disco dog don dor dos dot dub dug dur fab fad fan far fat
    fed fen fez fig fin fir fit fob fog fop for fum fun fundo fur gad gag gal gap gas gat gel
    gem gen get gig git gnu gob god gol got gov gum gun gusto gut kan kat keg ken kid kin kip
    kit kob kon lab lad lag lap lar led leg lek len let lev lib lid limbo lin lingo lip lit
    lob log lop lot lotto lug mad mag mambo man manga mango map mar mat med meg mel memba men
    met mid mil min mix mob mod mom mon mop motto mud mug mur nab nag nam nan nap net nib nik
    nil nip nit nob nod nom non nor not nov nub nun nut pad pal pam pan panda panto par pasta
    pat pen pep per pet pig pim pin pinto pip pit pod pol pom pon pop pot pub pug pul pun
    punto pup put rad rag ram ran rap ras rat red rem rep rev rez rib rid rig rim rip rob rod
    rom rot rub rug rum rumba run samba sup tab tad tag tam tan tango tap tar tat ted tel
    tempi tempo ten tib tic tim tin tip tit tod tom top tor tot tub tug tur turbo tut van var
    vas vat verbo vet villa vin vip viz vol volta vor zap zen zip
    """.split()  # noqa: SIM905 - words in a paragraph are easier to read than one to a line
)
"""Words of this shape that exist: an encoder knows them, so they are not invented."""


@dataclass(frozen=True)
class Control:
    """Where surface text must not help: a classifier fitted on some blocks, judged on another."""

    fitted: tuple[int, ...]
    """Blocks of words whose attributes it is told."""
    judged: tuple[int, ...]
    """Blocks whose attributes it must guess."""
    tolerance: float
    """Greatest distance of its accuracy and AUC from one half, for each attribute."""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words in blocks, with three binary attributes that are orthogonal in every block."""

    words: tuple[str, ...]
    attributes: IntArray
    """0 or 1. Shape ``[n_words, 3]``."""
    blocks: tuple[tuple[int, ...], ...]
    """Indices of the words of each block."""


def draw_lexicon(
    block_sizes: Sequence[int],
    controls: Sequence[Control],
    taken: Collection[str],
    rng: np.random.Generator,
) -> Lexicon:
    """Invent words and give each block every combination of attributes equally often.

    The attribute table is drawn again until a kernel classifier on character 1- to 3-grams is at
    chance in each control; without it words that a task never trains on are guessed by luck.

    Args:
        block_sizes: multiples of 8.
        controls: where surface text must not help.
        taken: words that are in use already.
        rng: the source of randomness.

    Raises:
        RuntimeError: no table passes the controls; they are too strict.
    """
    import numpy as np

    edges = np.concatenate([[0], np.cumsum(block_sizes)])
    blocks = tuple(tuple(range(start, stop)) for start, stop in pairwise(edges.tolist()))
    combinations = np.array(list(product((0, 1), repeat=N_ATTRIBUTES)))
    for _ in range(MAX_LEXICONS):
        words = _invent(int(edges[-1]), taken, rng)
        tables = np.concatenate(
            [
                rng.permuted(
                    np.broadcast_to(np.repeat(np.arange(8), size // 8), (MAX_DRAWS, size)), axis=1
                )
                for size in block_sizes
            ],
            axis=1,
        )
        attributes = combinations[tables]
        passed = np.ones(MAX_DRAWS, dtype=bool)
        kernel = _kernel(words)
        for control in controls:
            fitted = [i for block in control.fitted for i in blocks[block]]
            judged = [i for block in control.judged for i in blocks[block]]
            distance = _distance_from_chance(kernel, attributes, fitted, judged)
            passed &= distance <= control.tolerance + 1e-9
        if passed.any():
            return Lexicon(words, attributes[int(np.argmax(passed))], blocks)
    raise RuntimeError(f"no attribute table passes the surface controls {controls}")


def _invent(n: int, taken: Collection[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Return ``n`` new words, in turn consonant-vowel-consonant and that plus consonant-vowel."""
    words: list[str] = []
    while len(words) < n:
        pattern = "cvc" if len(words) % 2 == 0 else "cvccv"
        letters = (_CONSONANTS if sound == "c" else _VOWELS for sound in pattern)
        word = "".join(alphabet[int(rng.integers(len(alphabet)))] for alphabet in letters)
        if word not in _REAL and word not in taken and word not in words:
            words.append(word)
    return tuple(words[i] for i in rng.permutation(n))


def _kernel(words: Sequence[str]) -> FloatArray:
    """Return the cosine of character 1- to 3-gram counts, ends marked. ``[n_words, n_words]``."""
    import numpy as np

    grams = [
        [marked[i : i + n] for n in (1, 2, 3) for i in range(len(marked) - n + 1)]
        for marked in (f"<{word}>" for word in words)
    ]
    column = {gram: i for i, gram in enumerate(sorted({g for found in grams for g in found}))}
    counts = np.zeros((len(words), len(column)))
    for row, found in enumerate(grams):
        for gram in found:
            counts[row, column[gram]] += 1
    counts /= np.linalg.norm(counts, axis=1, keepdims=True)
    return counts @ counts.T


def _distance_from_chance(
    kernel: FloatArray, attributes: IntArray, fitted: Sequence[int], judged: Sequence[int]
) -> FloatArray:
    """Return how far accuracy or AUC of kernel ridge regression is from one half.

    Args:
        kernel: similarity of words. ``[n_words, n_words]``.
        attributes: 0 or 1. ``[n_draws, n_words, n_attributes]``.
        fitted: words it is fitted on.
        judged: words it must guess; half of them have each value of each attribute.

    Returns:
        The greatest distance over attributes and both measures. ``[n_draws]``.
    """
    import numpy as np

    ridge = kernel[np.ix_(fitted, fitted)] + 0.1 * np.eye(len(fitted))
    weights = kernel[np.ix_(judged, fitted)] @ np.linalg.inv(ridge)
    scores = np.einsum("jf,dfa->dja", weights, 2.0 * attributes[:, fitted] - 1)
    gold = attributes[:, judged]
    accuracy = ((scores > 0) == gold).mean(axis=1)
    ranks = scores.argsort(axis=1).argsort(axis=1) + 1
    n_half = len(judged) // 2
    auc = ((ranks * gold).sum(axis=1) - n_half * (n_half + 1) / 2) / n_half**2
    distance: FloatArray = np.maximum(abs(accuracy - 0.5), abs(auc - 0.5)).max(axis=1)
    return distance
