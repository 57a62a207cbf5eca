"""Templates of prompt parts: text with names in braces, filled in one pass.

Only ``{name}`` is a placeholder; other braces stand for themselves, and braces in what is filled
in are never looked at, so that no example can change a prompt's form.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")

_TEXT = frozenset({"text", "e1", "e2"})
_PAIR = frozenset({"a", "b", "name_a", "name_b"})
_NAMES = frozenset({"name_a", "name_b"})

PLACEHOLDERS: Mapping[Kind, Mapping[str, frozenset[str]]] = MappingProxyType({
    Kind.SINGLE: {"instruction": frozenset(), "input": _TEXT, "labels": frozenset({"labels"}),
                  "cue": frozenset({"e1", "e2"})},
    Kind.PAIR: {"instruction": _NAMES, "input": _PAIR, "labels": _NAMES | {"labels"},
                "cue": _NAMES},
    Kind.MULTILABEL: {"instruction": frozenset(), "input": _TEXT, "labels": frozenset({"labels"}),
                      "cue": frozenset({"e1", "e2"}), "question": frozenset({"label", "e1", "e2"})},
    Kind.TOKEN: {"instruction": frozenset(), "input": frozenset({"text"}),
                 "labels": frozenset({"labels"}), "cue": frozenset()},
})  # fmt: skip
"""What each part of a prompt may hold, by kind of task."""

REQUIRED: Mapping[Kind, Mapping[str, frozenset[str]]] = MappingProxyType({
    Kind.SINGLE: {"input": frozenset({"text"}), "labels": frozenset({"labels"})},
    Kind.PAIR: {"input": frozenset({"a", "b"}), "labels": frozenset({"labels"})},
    Kind.MULTILABEL: {"input": frozenset({"text"}), "labels": frozenset({"labels"}),
                      "question": frozenset({"label"})},
    Kind.TOKEN: {"input": frozenset({"text"}), "labels": frozenset({"labels"})},
})  # fmt: skip
"""What a part must hold, else the model would not see it."""


def placeholders(template: str) -> frozenset[str]:
    """Return the names in braces.

    >>> sorted(placeholders('{name_a}: {a}, as {"json": 1}'))
    ['a', 'name_a']
    """
    return frozenset(_PLACEHOLDER.findall(template))


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return ``template`` with each placeholder of ``values`` replaced; others stay.

    >>> fill("{a} and {b}", {"a": "{b}", "b": "2"})
    '{b} and 2'
    """
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
