"""Importing one plugin and asking it what it offers, each hook alone and each answer checked."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from groupbench import API, hookspecs
from groupbench.errors import GroupbenchError, PluginError
from groupbench.task import NAME, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from groupbench.plugins.sources import Source

T = TypeVar("T")

REGISTER_HOOKS = {
    "tasks": "groupbench_register_tasks",
    "suites": "groupbench_register_suites",
    "groupings": "groupbench_register_groupings",
    "runners": "groupbench_register_runners",
    "metrics": "groupbench_register_metrics",
    "executors": "groupbench_register_executors",
    "loaders": "groupbench_register_loaders",
}
"""The hook that registers each kind of thing; kinds are called as the commands call them."""

SINGULAR = {kind: kind.removesuffix("s") for kind in REGISTER_HOOKS}

_METHODS = {
    "suites": ("build",),
    "groupings": ("plan", "propose"),
    "runners": ("availability", "fit", "identity", "place", "resources"),
    "executors": ("availability", "open"),
    "loaders": ("__call__",),
}
_RUNNER_FLAGS = ("seeded", "shares", "trains")
_RUNNER_MODULES = ("deciding_modules", "preload")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An imported plugin whose hooks are known to be real ones."""

    source: Source
    summary: str
    implementations: Mapping[str, tuple[pluggy.HookImpl, ...]]
    """By hook."""

    def objects(self, kind: str) -> list[Any]:
        """Return what the plugin registers of one kind, each item checked.

        Raises:
            PluginError: the hook raised, or returned what it may not.
        """
        found, problems = self.checked_objects(kind)
        if problems:
            raise PluginError(f"{self.source}: {problems[0]}.")
        return found

    def checked_objects(self, kind: str) -> tuple[list[Any], list[str]]:
        """Return the good items of one kind, and what is wrong with the others."""
        found: list[Any] = []
        problems: list[str] = []
        hook = REGISTER_HOOKS[kind]
        for implementation in self.implementations.get(hook, ()):
            try:
                returned: Any = implementation.function()
                items = list(returned)
            except (Exception, SystemExit) as failure:  # noqa: BLE001 - a plugin may raise anything
                problems.append(f"{hook} raised {first_line(failure)}")
                continue
            for item in items:
                problem = _flaw(kind, item)
                if problem is None:
                    found.append(Path(item) if isinstance(item, str) else item)
                else:
                    problems.append(f"{hook} returned {problem}")
        return found, problems

    def observe(self, hook: str, subjects: Mapping[str, object]) -> list[str]:
        """Call an observer hook and return what went wrong; nothing is raised."""
        problems = []
        for implementation in self.implementations.get(hook, ()):
            arguments = [subjects[name] for name in implementation.argnames]
            try:
                implementation.function(*arguments)
            except (Exception, SystemExit) as failure:  # noqa: BLE001 - a plugin may raise anything
                problems.append(f"{hook} raised {first_line(failure)}")
        return problems


def load_plugin(source: Source) -> Loaded:
    """Import a plugin and check its hooks.

    Raises:
        PluginError: it cannot be imported, was made for another API version, or implements a hook
            that does not exist. The message says why, without naming the plugin.
    """
    entry_point = metadata.EntryPoint(source.plugin, source.value, "groupbench")
    try:
        module = entry_point.load()
    except (Exception, SystemExit) as failure:
        raise PluginError(f"importing it raised {first_line(failure)}") from failure
    wanted = getattr(module, "GROUPBENCH_API", API)
    if wanted != API:
        raise PluginError(f"it needs API {wanted!r}, this is {API}")
    manager = pluggy.PluginManager("groupbench")
    manager.add_hookspecs(hookspecs)
    known = [name for name in vars(hookspecs) if name.startswith("groupbench_")]
    try:
        manager.register(module, name=source.plugin)
        callers = manager.get_hookcallers(module) or []
    except Exception as failure:
        reason = next((line for line in reversed(str(failure).splitlines()) if line.strip()), "")
        raise PluginError(f"a hook does not fit its specification: {reason}") from failure
    for caller in callers:
        optional = all(implementation.optionalhook for implementation in caller.get_hookimpls())
        if not caller.has_spec() and not optional:
            near = get_close_matches(caller.name, known, n=1)
            mend = f"; did you mean {near[0]}?" if near else ""
            raise PluginError(f"there is no hook {caller.name}{mend}")
    implementations = {caller.name: tuple(caller.get_hookimpls()) for caller in callers}
    for name in known:
        if name not in implementations and callable(getattr(module, name, None)):
            raise PluginError(f"{name} is not marked with @hookimpl")
    return Loaded(source, _summary(module, source), implementations)


def first_line(failure: BaseException) -> str:
    """Return an exception as one line."""
    lines = str(failure).strip().splitlines()
    return f"{type(failure).__name__}: {lines[0]}" if lines else type(failure).__name__


def call_plugin(source: Source, what: str, function: Callable[[], T]) -> T:
    """Return ``function()``, a plugin's code; what it raises becomes an error that names it.

    Raises:
        GroupbenchError: as the plugin raised it.
        PluginError: the plugin raised something else.
    """
    try:
        return function()
    except GroupbenchError:
        raise
    except (Exception, SystemExit) as failure:
        raise PluginError(f"{source}: {what} raised {first_line(failure)}.") from failure


def _summary(module: object, source: Source) -> str:
    """Return the first line about the plugin: of its package, else of its hook module."""
    import sys

    package = sys.modules.get(source.module.rpartition(".")[0])
    for place in (package, module):
        text = (getattr(place, "__doc__", None) or "").strip()
        if text:
            return str(text.splitlines()[0])
    return ""


def _flaw(kind: str, item: object) -> str | None:
    """Return what is wrong with something that a plugin registers, or ``None``."""
    if kind == "tasks":
        if isinstance(item, Task | Path | str):
            return None
        return f"{_shown(item)}, which is neither a Task nor a folder of cards"
    if kind != "metrics" and not isinstance(item, type):
        return f"{_shown(item)}, which is not a class"
    flaw = _naming_flaw(item)
    if flaw is None:
        flaw = _metric_flaw(item) if kind == "metrics" else _class_flaw(kind, item)
    return f"{_shown(item)}, {flaw}" if flaw else None


def _naming_flaw(item: object) -> str | None:
    name, summary = getattr(item, "name", None), getattr(item, "summary", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"whose name = {name!r} does not match {NAME.pattern}"
    if not isinstance(summary, str) or not summary.strip():
        return "which has no summary"
    return None


def _metric_flaw(item: object) -> str | None:
    if isinstance(item, type):
        return "which is a class; register an instance"
    if not any(callable(getattr(item, method, None)) for method in ("score", "resolve")):
        return "which has no method score"
    return None


def _class_flaw(kind: str, cls: Any) -> str | None:  # noqa: ANN401 - a class, of any shape
    if not is_dataclass(cls) or not _frozen(cls):
        return "which is not a frozen dataclass"
    if settings := {"name", "summary"} & {field.name for field in fields(cls)}:
        return f"whose {min(settings)} is a setting; annotate it with ClassVar"
    for method in _METHODS[kind]:
        if not callable(getattr(cls, method, None)):
            return f"which has no method {method}"
    return _runner_flaw(cls) if kind == "runners" else None


def _frozen(cls: Any) -> bool:  # noqa: ANN401 - a dataclass
    return bool(cls.__dataclass_params__.frozen)


def _runner_flaw(cls: Any) -> str | None:  # noqa: ANN401 - a class, of any shape
    for flag in _RUNNER_FLAGS:
        if not isinstance(getattr(cls, flag, None), bool):
            return f"whose class attribute {flag} is not True or False"
    for attribute in _RUNNER_MODULES:
        names = getattr(cls, attribute, None)
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            return f"whose class attribute {attribute} is not a tuple of module names"
    return None


def _shown(item: object) -> str:
    if isinstance(item, type):
        return f"{item.__module__}.{item.__qualname__}"
    text = repr(item)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line of a message
