"""Explanations of keys, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from groupbench.report.text import plain

if TYPE_CHECKING:
    from groupbench.explain import Explanation


def explanation_text(fit: Explanation) -> Text:
    """Return one fit's explanation: where it stands, what it is made of, what changed."""
    state = "is stored" if fit.stored else "must be computed"
    lines = [
        f"{fit.label}: {state}",
        f"  key      {fit.key}",
        f"  serves   {', '.join(fit.serves)}",
    ]
    for part, value in fit.ingredients.items():
        if isinstance(value, dict):
            lines.append(f"  {part}")
            lines += [f"    {name} = {inner}" for name, inner in value.items()]
        else:
            lines.append(f"  {part} = {value}")
    if fit.changed:
        lines.append(f"  changed since {fit.nearest}")
        lines += [f"    {line}" for line in fit.changed]
    elif not fit.stored and fit.nearest is None:
        lines.append("  no fit of this runner is stored")
    elif not fit.stored:
        lines.append("  nothing it is made of changed: the fit, or what a probe measured, is gone")
    return Text("\n".join(map(plain, lines)))
