"""Deciding code: hashes of the source that decides a result, blind to comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.cache import cache_folder
from groupbench.canonical import KEY_LENGTH, digest

if TYPE_CHECKING:
    from collections.abc import Sequence


def deciding_code(of: type, modules: Sequence[str] = ()) -> dict[str, str]:
    """Return a hash for each module whose code decides what ``of`` does.

    Every module of the top-level package that defines ``of`` counts, and each of ``modules`` (names
    of engine modules). A hash is of the syntax tree without docstrings, comments and layout.

    Args:
        of: a runner, strategy or probe class.
        modules: names of further modules.

    Returns:
        Hash by module name, sorted by name.
    """
    files: dict[str, Path] = {}
    top = of.__module__.partition(".")[0]
    origin = _origin(of.__module__ if top == "groupbench" else top)
    if origin is not None and origin.name == "__init__.py":
        for path in sorted(origin.parent.rglob("*.py")):
            inside = path.relative_to(origin.parent).with_suffix("")
            parts = [part for part in inside.parts if part != "__init__"]
            files[".".join([top, *parts])] = path
    elif origin is not None:
        files[of.__module__] = origin
    for name in modules:
        if (found := _origin(name)) is not None:
            files[name] = found
    return {name: _code_hash(path) for name, path in sorted(files.items())}


def tree_hash(source: str | bytes) -> str:
    r"""Return the hash of a module's syntax tree.

    >>> tree_hash("x = 1  # one") == tree_hash('"doc"\nx = 1') != tree_hash("x = 2")
    True
    """
    return digest(repr(_shape(ast.parse(source))))


def _shape(node: object) -> object:
    """Return a syntax tree as tuples, without what Python versions write differently."""
    if isinstance(node, ast.AST):
        named = ((name, value) for name, value in ast.iter_fields(node) if name != "kind")
        return (
            type(node).__name__,
            *((name, _shape(value)) for name, value in named if value not in (None, [])),
        )
    if isinstance(node, list):
        return [_shape(item) for item in node if not _is_text(item)]
    return (type(node).__name__, repr(node))


def _is_text(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _origin(module: str) -> Path | None:
    """Return a module's source file, without importing the module itself where it is top-level."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            spec = None
        origin = spec.origin if spec is not None else None
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def _code_hash(path: Path) -> str:
    """Return `tree_hash` of a file: read every time, parsed once for each content ever seen."""
    source = path.read_bytes()
    return _remembered(hashlib.sha256(source).hexdigest()[:KEY_LENGTH], source)


@cache
def _remembered(content: str, source: bytes) -> str:
    # Content-addressed: the note under this name can only be the hash of this very source.
    note = cache_folder("code") / content
    try:
        return note.read_text(encoding="ascii")
    except OSError:
        pass
    result = tree_hash(source)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        draft = note.with_name(f"{content}.{os.getpid()}")
        draft.write_text(result, encoding="ascii")
        draft.replace(note)
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else
    return result
