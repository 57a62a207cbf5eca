"""Canonical JSON, and the hashes made of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

KEY_LENGTH = 40
"""Hexadecimal digits of a key: 160 bits."""


def to_json(value: Any) -> Json:  # noqa: ANN401, PLR0911 - a case for each thing a setting can be
    """Return ``value`` as plain JSON: dataclasses and mappings as objects, sets sorted.

    >>> to_json({"b": (1, 2), "a": None})
    {'b': [1, 2], 'a': None}

    Raises:
        ValueError: a number is not finite, or a value has no JSON form.
    """
    match value:
        case Enum():
            return to_json(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{value} has no canonical form: say that it is undefined instead")
            return value
        case PurePath():
            return str(value)
        case Mapping():
            return {str(name): to_json(item) for name, item in value.items()}
        case set() | frozenset():
            return sorted((to_json(item) for item in value), key=repr)
        case Sequence():
            return [to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "item"):  # a numpy scalar
        return to_json(value.item())
    raise ValueError(f"{type(value).__name__} has no canonical form")


def canonical(value: Any) -> bytes:  # noqa: ANN401 - anything a setting can be
    """Return the one byte string that stands for ``value``: sorted keys, no spaces, UTF-8."""
    text = json.dumps(
        to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "surrogatepass")


def digest(value: Any) -> str:  # noqa: ANN401 - anything a setting can be
    """Return the key of ``value``: equal across processes, locales and machines."""
    return digest_bytes(canonical(value))


def digest_bytes(data: bytes) -> str:
    """Return the key of a byte string."""
    return hashlib.sha256(data).hexdigest()[:KEY_LENGTH]
