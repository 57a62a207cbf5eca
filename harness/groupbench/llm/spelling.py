"""How constrained answers were spelt: as the tokenizer spells them, or otherwise.

A grammar works on characters, so it lets a model write a label in tokens that it never saw the
label in. Such an answer may name another label than the likeliest one, so the share of those that
are spelt canonically tells how far choices can be believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.canonical import Json
    from groupbench.llm.answers import Said
    from groupbench.llm.asked import Tally
    from groupbench.llm.prompt import Prompt, Question

LOW = 0.9
"""Below this share choices are warned about."""

CANONICAL, OTHERWISE = "spelt_canonically", "spelt_otherwise"
"""Under these names a tally counts answers."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How the answers of a task were spelt. Without token ids in replies nothing is known."""

    n_canonical: int = 0
    n_known: int = 0

    @classmethod
    def of(cls, tallies: Iterable[Tally]) -> Spelling:
        """Return the sums over the splits of a task."""
        n_canonical = n_known = 0
        for tally in tallies:
            n_canonical += tally.more[CANONICAL]
            n_known += tally.more[CANONICAL] + tally.more[OTHERWISE]
        return cls(n_canonical, n_known)

    @property
    def share(self) -> float | None:
        """The canonical share, 0 to 1; ``None``: not known."""
        return self.n_canonical / self.n_known if self.n_known else None

    def facts(self) -> dict[str, Json]:
        """Return what the record of a fit says of it."""
        share = self.share
        return {
            "answers": self.n_known,
            "canonical_share": None if share is None else round(share, 6),
        }

    def warning(self, task: str) -> str | None:
        """Return what a reader of the scores should know, if there is anything."""
        if self.share is None or self.share >= LOW:
            return None
        return (
            f"{task}: only {self.share:.0%} of {self.n_known} chosen answers are spelt as the"
            " tokenizer spells them, so they may name another label than the likeliest; mode ="
            " 'score' reads the likelihoods themselves."
        )


def count_spellings(prompt: Prompt, said: Iterable[Said], tally: Tally) -> None:
    """Count, for each question of a prompt that was answered by choice, how that is spelt."""
    for question, answer in zip(prompt.questions, said, strict=True):
        canonical = is_canonical(question, answer)
        if canonical is not None:
            tally.more[CANONICAL if canonical else OTHERWISE] += 1


def is_canonical(question: Question, said: Said) -> bool | None:
    """Return whether a choice is spelt as the tokenizer spells it after this prompt.

    ``None`` where that is not known: no token ids came back, or it is none of the choices.
    """
    name = next((name for name, text in question.choices.items() if text == said.text), None)
    if name is None or said.token_ids is None:
        return None
    ids = question.spellings.get(name, ())
    # The text is the label and no more, so what one of them is longer by is the end mark.
    n = min(len(ids), len(said.token_ids))
    return n > 0 and said.token_ids[:n] == ids[:n]
