"""What a check is, which ones a plugin's thing must pass, and what all kinds share.

A check is a plain function that takes one instance and raises `CheckError` with a sentence when
the contract does not hold. ``groupbench plugins check`` and the pytest helper run the same ones.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NoReturn, TypeAlias

from groupbench.settings import configure, settings_of
from groupbench.task import NAME

Check: TypeAlias = Callable[[Any], None]

HEAVY = ("torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "pyarrow", "openai")
"""What importing a strategy, runner or metric must not import: listings would wait for it."""

_IMPORT = """
import importlib, importlib.util, sys
name, file, *heavy = sys.argv[1:]
try:
    importlib.import_module(name)
except ModuleNotFoundError:
    spec = importlib.util.spec_from_file_location("checked_module", file)
    module = sys.modules["checked_module"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
print(",".join(each for each in heavy if each in sys.modules))
"""
_SECONDS = 60


class CheckError(AssertionError):
    """A contract that does not hold, in one sentence."""


class CannotCheckError(CheckError):
    """Here nothing can be said about the contract, for a reason outside the thing's own code."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check."""

    check: str
    """The function's name."""
    status: str
    """``pass``, ``fail`` or ``skip``."""
    reason: str | None = None
    """What is wrong, or why nothing can be said; ``None`` where it passes."""


def fail(message: str) -> NoReturn:
    """Raise `CheckError`."""
    raise CheckError(message)


def demand(condition: object, message: str) -> None:
    """Raise `CheckError` unless ``condition`` holds."""
    if not condition:
        fail(message)


def checks_for(offered: Any) -> tuple[Check, ...]:  # noqa: ANN401 - whatever a plugin offers
    """Return the checks that ``offered``, an instance, must pass.

    Raises:
        TypeError: it is neither a strategy, nor a runner, nor a metric, nor a task.
    """
    from groupbench.testing import metric, runner, strategy, task

    if isinstance(offered, type):
        raise TypeError(
            f"{offered.__name__} is a class: check an instance, as {offered.__name__}()."
        )
    for method, module in (
        *(("propose", strategy), ("fit", runner), ("score", metric)),
        ("fingerprint", task),
    ):
        if hasattr(type(offered), method) or method in getattr(offered, "__dict__", ()):
            return tuple(module.CHECKS)
    raise TypeError(f"{offered!r} is neither a strategy, nor a runner, nor a metric, nor a task.")


def check_results(offered: Any) -> Iterator[CheckResult]:  # noqa: ANN401 - as above
    """Yield what came of each check. Whatever ``offered`` raises is a failure, said in a line."""
    for check in checks_for(offered):
        try:
            check(offered)
        except CannotCheckError as problem:
            yield CheckResult(check.__name__, "skip", str(problem))
        except CheckError as problem:
            yield CheckResult(check.__name__, "fail", str(problem))
        except (Exception, SystemExit) as failure:  # noqa: BLE001 - a plugin may raise anything
            said = f"{type(failure).__name__}: {failure}"
            yield CheckResult(check.__name__, "fail", said)
        else:
            yield CheckResult(check.__name__, "pass")


def run_checks(offered: Any) -> Iterator[tuple[str, str | None]]:  # noqa: ANN401 - as above
    """Yield each check's name and what it found wrong, ``None`` where all is well."""
    for result in check_results(offered):
        yield result.check, result.reason


def check_names_itself(offered: Any) -> None:  # noqa: ANN401 - as above
    """It has a name that can be typed and a summary of one line."""
    who = type(offered).__name__
    name, summary = getattr(offered, "name", None), getattr(offered, "summary", None)
    demand(isinstance(name, str), f"{who}: name is {name!r}, not text.")
    demand(NAME.fullmatch(str(name)), f"{who}: name = {name!r} must match {NAME.pattern}.")
    demand(
        isinstance(summary, str) and summary.strip() and "\n" not in summary,
        f"{who}: summary must be one line, not {summary!r}.",
    )


def check_settings_survive_text(offered: Any) -> None:  # noqa: ANN401 - as above
    """It is a frozen dataclass that its own settings, as JSON, make again; and that pickles."""
    who = type(offered).__name__
    demand(is_dataclass(offered), f"{who} must be a dataclass: its fields are its settings.")
    frozen = type(offered).__dataclass_params__.frozen
    demand(frozen, f"{who} must be a frozen dataclass.")
    names = {field.name for field in fields(offered)} & {"name", "summary"}
    demand(not names, f"{who}: annotate {', '.join(sorted(names))} with ClassVar; they are fields.")
    again = configure(type(offered), settings_of(offered), where=who)
    demand(
        again == offered, f"{who}: settings read back from JSON make {again!r}, not {offered!r}."
    )
    check_pickles(offered)


def check_pickles(offered: Any) -> None:  # noqa: ANN401 - as above
    """It can be sent to another process."""
    try:
        again = pickle.loads(pickle.dumps(offered))  # noqa: S301 - pickled on the same line
    except Exception as failure:  # noqa: BLE001 - pickling raises anything
        fail(f"{type(offered).__name__} cannot be pickled: {failure}")
    if is_dataclass(offered):
        demand(again == offered, f"{type(offered).__name__} is not equal to itself once pickled.")


def check_imports_nothing_heavy(offered: Any) -> None:  # noqa: ANN401 - as above
    """Importing its module imports no library that listings would have to wait for."""
    found = heavy_imports(type(offered).__module__)
    demand(
        not found,
        f"importing {type(offered).__module__} imports {', '.join(found)}: import it inside the "
        "function that uses it.",
    )


def heavy_imports(module: str, heavy: Iterable[str] = HEAVY) -> list[str]:
    """Return which of ``heavy`` a fresh Python loads when it imports ``module``."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    done = subprocess.run(  # noqa: S603 - this Python, on a module that is imported here already
        [sys.executable, "-c", _IMPORT, module, file, *heavy],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        fail(f"{module} cannot be imported in a fresh Python: {said[-1] if said else 'no word'}")
    printed = done.stdout.strip().splitlines()
    return [name for name in (printed[-1] if printed else "").split(",") if name]
