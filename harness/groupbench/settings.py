"""Settings of strategies, runners, suites and executors: dataclass fields, read from text.

The command line writes ``name:key=value,...``; experiment files write tables. Both end in an
instance of a frozen dataclass, checked against its annotations.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from groupbench.canonical import to_json
from groupbench.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_SECRET = re.compile(r"(key|token|secret|password)$", re.IGNORECASE)
"""Names under which people put what no message may repeat."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A name and the settings written beside it.

    >>> Spec.parse('vllm:url="http://h:1/v1",shots=4,mode=score').settings
    {'url': 'http://h:1/v1', 'shots': 4, 'mode': 'score'}
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read ``name[:key=value,...]``: TOML scalars and arrays, or bare words.

        Raises:
            SettingError: a part has no ``=``, or a quote or bracket is not closed.
        """
        name, _, rest = text.partition(":")
        settings: dict[str, Any] = {}
        for part in _split(rest, text):
            key, equals, value = part.partition("=")
            if not equals or not key.strip():
                raise SettingError(f"{text!r}: {part!r} is not key=value.")
            settings[key.strip()] = _value(value.strip())
        return cls(name.strip(), settings)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as listings show it."""

    name: str
    type: str
    default: Any
    summary: str


def configure(cls: type[T], settings: Mapping[str, Any], *, where: str) -> T:
    """Return an instance of the dataclass ``cls`` with ``settings``.

    Args:
        cls: a frozen dataclass.
        settings: values by field name, as TOML gives them.
        where: how the message calls the place, for example ``runner encoder``.

    Raises:
        SettingError: an unknown name (the nearest is suggested), a value of the wrong type, or a
            value that the dataclass itself refuses.
    """
    import msgspec

    known = {f.name for f in fields(cls) if f.init}  # type: ignore[arg-type] # cls is a dataclass
    for name, value in settings.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            mend = (
                f"Did you mean '{near[0]}'?"
                if near
                else f"Known: {', '.join(sorted(known)) or 'none'}."
            )
            if _SECRET.search(name):
                raise SettingError(
                    f"{where}: no setting named '{name}'. Keys are no settings: they come from the"
                    f" environment. {mend}"
                )
            raise SettingError(f"{where}: no setting named '{name}' (= {value!r}). {mend}")
    for name, value in settings.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingError(f"{where}: {name} = {value} must be a finite number.")
    try:
        return msgspec.convert(dict(settings), type=cls, strict=True)
    except msgspec.ValidationError as problem:
        raise SettingError(f"{where}: {_explained(problem, cls, settings)}") from None
    except (ValueError, TypeError) as problem:
        raise SettingError(f"{where}: {problem}") from None


def settings_of(instance: object) -> dict[str, Any]:
    """Return an instance's settings as JSON, defaults included."""
    return {
        f.name: to_json(getattr(instance, f.name))
        for f in fields(instance)  # type: ignore[arg-type] # every configurable thing is a dataclass
        if f.init
    }


def deciding_settings(instance: object) -> dict[str, Any]:
    """Return the settings that decide results, as JSON: what a fit's key holds.

    A field with ``metadata={"in_key": False}`` decides none: how many requests are in flight, say,
    or where a server is found that is known by what it serves.
    """
    untold = {f.name for f in fields(instance) if not f.metadata.get("in_key", True)}  # type: ignore[arg-type] # every configurable thing is a dataclass
    return {name: value for name, value in settings_of(instance).items() if name not in untold}


def label(instance: Any) -> str:  # noqa: ANN401 - any configurable thing
    """Return the spec that makes ``instance``: its name, and the settings that are not defaults.

    A field with ``metadata={"in_label": True}`` is always there: the model of a runner, say.
    """
    changed = []
    for f in fields(instance):
        value = getattr(instance, f.name)
        default = (
            f.default
            if f.default is not MISSING
            else (f.default_factory() if f.default_factory is not MISSING else MISSING)
        )
        telling = value != default or (f.metadata.get("in_label", False) and value)
        if f.init and f.name != "draw" and telling:
            changed.append(f"{f.name}={_written(value)}")
    return f"{instance.name}:{','.join(changed)}" if changed else str(instance.name)


def describe(cls: type) -> list[Setting]:
    """Return the settings of a dataclass, with the docstring below each field."""
    docs = _field_docs(cls)
    described = []
    for f in fields(cls):
        if not f.init or f.name == "draw":
            continue
        default = (
            f.default
            if f.default is not MISSING
            else (f.default_factory() if f.default_factory is not MISSING else None)
        )
        kind = f.type if isinstance(f.type, str) else getattr(f.type, "__name__", str(f.type))
        described.append(Setting(f.name, kind, to_json(default), docs.get(f.name, "")))
    return described


def _explained(problem: Exception, cls: type, settings: Mapping[str, Any]) -> str:
    """Return what is wrong with which setting, and what it may be where that is a list of words."""
    said, _, place = str(problem).partition(" - at `$.")
    name = re.split(r"[.\[`]", place, maxsplit=1)[0]
    if name not in settings:
        return f"{problem}."
    told = f"{said} - in '{name}' = {settings[name]!r}."
    with contextlib.suppress(NameError, TypeError):  # names that only type checkers import
        words = _words(get_type_hints(cls)[name])
        near = get_close_matches(str(settings[name]), words, n=1)
        if words and said.startswith("Invalid enum"):
            told += f" Did you mean '{near[0]}'?" if near else ""
            told += f" Known: {', '.join(filter(None, words))}."
        elif said.startswith("Expected `array`"):
            told += f" A list is written [{settings[name]}]."
    return told


def _words(hint: Any) -> list[str]:  # noqa: ANN401 - any annotation
    """Return the words that a literal type allows, in its order; those of a union too."""
    if get_origin(hint) is Literal:
        return [str(word) for word in get_args(hint)]
    return [word for part in get_args(hint) for word in _words(part)]


def _split(rest: str, text: str) -> list[str]:
    parts, part, quote, depth = [], "", "", 0
    for character in rest:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(part)
            part = ""
            continue
        part += character
    if quote or depth:
        raise SettingError(f"{text!r}: a quote or bracket is not closed.")
    return [p for p in [*parts, part] if p.strip()]


def _value(text: str) -> Any:  # noqa: ANN401 - whatever TOML says
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text.startswith("[") and text.endswith("]"):  # of bare words, as labels hold them
            return [_value(part.strip()) for part in _split(text[1:-1], text)]
        return text


def _written(value: Any) -> str:  # noqa: ANN401 - whatever a setting holds
    plain = to_json(value)
    if isinstance(plain, str):
        bare = _value(plain) == plain and not set(plain) & set(",\"'[]{}")
        return plain if bare else '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, list):
        return "[" + ",".join(_written(item) for item in plain) + "]"
    return str(plain)


def _field_docs(cls: type) -> dict[str, str]:
    """Return the string literal below each annotated field, those of base classes too."""
    docs: dict[str, str] = {}
    for each in reversed(cls.__mro__[:-1]):
        docs.update(_own_field_docs(each))
    return docs


def _own_field_docs(cls: type) -> dict[str, str]:
    import ast
    import inspect
    import textwrap

    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    docs = {}
    for statement, below in itertools.pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            docs[statement.target.id] = " ".join(below.value.value.split())
    return docs
