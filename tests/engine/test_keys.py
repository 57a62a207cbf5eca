"""A fit's key changes with what decides the fit, and with nothing else."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.code import _remembered, deciding_code, tree_hash
from groupbench.keys import FitOrder, RunnerIdentity
from groupbench.task import Example, Kind, Materialised, Split, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNNER = '''
"""A runner."""
from dataclasses import dataclass
from typing import ClassVar

from keyed_runner.arithmetic import combine


@dataclass(frozen=True)
class Keyed:
    """Docstring."""

    name: ClassVar[str] = "keyed"
    trains: ClassVar[bool] = True
    seeded: ClassVar[bool] = True
    deciding_modules: ClassVar[tuple[str, ...]] = ("keyed_engine",)
    lr: float = 0.1
    weights: str = "aaaa"

    def identity(self):
        return {"weights": self.weights, "device": "cpu"}
'''
ARITHMETIC = "def combine(a, b):\n    return a + b\n"


def rows(split: str, n: int = 3) -> tuple[Example, ...]:
    return tuple(Example(f"{split}-{i}", f"text {split} {i}", i % 2) for i in range(n))


def task(name: str = "a", **changes: Any) -> Task:
    data = {split: rows(split) for split in Split}
    settings: dict[str, Any] = {
        "name": name,
        "kind": Kind.SINGLE,
        "labels": ("no", "yes"),
        "metrics": ("accuracy",),
        "loader": Materialised(data),
    }
    return Task(**(settings | changes))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runner's package and an engine module that it declares, as files that can be edited."""
    folder = tmp_path / "keyed_runner"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Package."""\n')
    (folder / "runner.py").write_text(RUNNER)
    (folder / "arithmetic.py").write_text(ARITHMETIC)
    (tmp_path / "keyed_engine.py").write_text("def weigh(x):\n    return x * 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("keyed_")]:
        del sys.modules[name]


def order(package: Path, tasks: tuple[Task, ...] = (), seed: int = 0, **settings: Any) -> FitOrder:
    del package
    cls = importlib.import_module("keyed_runner.runner").Keyed
    return FitOrder(RunnerIdentity(cls(**settings)), tasks or (task(),), seed)


def edited(path: Path, old: str, new: str) -> None:
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))


def test_every_ingredient_changes_the_key(package: Path) -> None:
    base = order(package).key
    one_row = {**task().data, Split.TRAIN: (*rows("train", 2), Example("train-2", "other", 0))}
    one_gold = {
        **task().data,
        Split.DEV_A: (*rows("dev-a", 2), Example("dev-a-2", "text dev-a 2", 1)),
    }
    changed = {
        "a row of data": order(package, (task(loader=Materialised(one_row)),)).key,
        "a gold label": order(package, (task(loader=Materialised(one_gold)),)).key,
        "the labels' order": order(package, (task(labels=("yes", "no")),)).key,
        "another task beside it": order(package, (task(), task("b"))).key,
        "a setting": order(package, lr=0.2).key,
        "the weights": order(package, weights="bbbb").key,
        "the seed": order(package, seed=1).key,
    }
    assert base not in changed.values()
    assert len(set(changed.values())) == len(changed)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("keyed_runner/arithmetic.py", "a + b", "a - b"),
        ("keyed_runner/runner.py", '"device": "cpu"', '"device": "gpu"'),
        ("keyed_engine.py", "x * 2", "x * 3"),
    ],
)
def test_an_operator_edited_on_disk_changes_the_key(
    package: Path, file: str, old: str, new: str
) -> None:
    base = order(package).key
    edited(package / file, old, new)
    assert order(package).key != base


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("keyed_runner/runner.py", '"""Docstring."""', '"""Another docstring."""'),
        ("keyed_runner/arithmetic.py", "return a + b", "return a + b  # why"),
        ("keyed_runner/arithmetic.py", "    return a + b", "\n\n    return (a + b)"),
        ("keyed_runner/__init__.py", "Package", "The package"),
        ("keyed_engine.py", "def weigh", "# a comment\ndef weigh"),
    ],
)
def test_comments_docstrings_and_layout_do_not_change_the_key(
    package: Path, file: str, old: str, new: str
) -> None:
    base = order(package).key
    edited(package / file, old, new)
    assert order(package).key == base


def test_what_does_not_matter_does_not_change_the_key(package: Path) -> None:
    a, b = task(), task("b")
    base = order(package, (a, b)).key
    assert order(package, (b, a)).key == base
    elsewhere = replace(a, source="/somewhere/else/card.toml", summary="other words", domain="x")
    assert order(package, (elsewhere, b)).key == base
    judged_otherwise = replace(a, metrics=("f1_macro", "accuracy"), excluded_labels=("no",))
    assert order(package, (judged_otherwise, b)).key == base


def test_seeds_do_not_matter_to_a_runner_without_chance() -> None:
    @dataclass(frozen=True)
    class Fixed:
        name: ClassVar[str] = "fixed"
        trains: ClassVar[bool] = True
        seeded: ClassVar[bool] = False
        deciding_modules: ClassVar[tuple[str, ...]] = ()

        def identity(self) -> dict[str, str]:
            return {}

    identity = RunnerIdentity(Fixed())  # type: ignore[arg-type] # only what keys need
    assert FitOrder(identity, (task(),), 1).key == FitOrder(identity, (task(),), 2).key


def test_a_setting_that_decides_nothing_is_in_the_label_and_in_no_key() -> None:
    @dataclass(frozen=True)
    class Patient:
        name: ClassVar[str] = "patient"
        trains: ClassVar[bool] = True
        seeded: ClassVar[bool] = False
        deciding_modules: ClassVar[tuple[str, ...]] = ()

        at_once: int = field(default=4, metadata={"in_key": False})
        depth: int = 1

        def identity(self) -> dict[str, str]:
            return {}

    def identity(**settings: int) -> RunnerIdentity:
        return RunnerIdentity(Patient(**settings))  # type: ignore[arg-type] # only what keys need

    def key(**settings: int) -> str:
        return FitOrder(identity(**settings), (task(),), 0).key

    assert key(at_once=9) == key()
    assert key(depth=2) != key()
    assert identity(at_once=9).label == "patient:at_once=9"


@pytest.mark.parametrize("trains", [True, False])
def test_splits_are_in_the_key_of_a_runner_that_does_not_train(trains: bool) -> None:
    @dataclass(frozen=True)
    class Asked:
        name: ClassVar[str] = "asked"
        seeded: ClassVar[bool] = False
        deciding_modules: ClassVar[tuple[str, ...]] = ()
        trains: ClassVar[bool]

        def identity(self) -> dict[str, str]:
            return {}

    Asked.trains = trains
    identity = RunnerIdentity(Asked())  # type: ignore[arg-type] # only what keys need
    test = FitOrder(identity, (task(),), 1, splits=(Split.TEST,))
    dev = FitOrder(identity, (task(),), 1, splits=(Split.DEV_B,))
    assert (test.key == dev.key) == trains


def test_an_engine_module_decides_every_fit(package: Path) -> None:
    code = order(package).ingredients["code"]
    assert isinstance(code, dict)
    assert {"groupbench.execute", "keyed_engine", "keyed_runner.arithmetic"} <= set(code)


@given(st.sampled_from(["+", "-", "*", "//", "%"]), st.integers(-5, 5), st.text(max_size=10))
def test_a_tree_hash_sees_code_and_not_comments(operator: str, number: int, words: str) -> None:
    plain = "".join(c for c in words if c.isalnum())
    source = f"def f(x):\n    return x {operator} {number}\n"
    noted = (
        f'"""{plain}"""\ndef f(x):\n    "{plain}"\n    return x {operator} {number}  # {plain}\n'
    )
    assert tree_hash(source) == tree_hash(noted)
    assert tree_hash(source) != tree_hash(source.replace("return x", "return x + x"))


def test_a_note_in_the_cache_is_only_believed_for_the_very_same_source(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUPBENCH_CACHE", str(package / "cache"))
    _remembered.cache_clear()
    cls = importlib.import_module("keyed_runner.runner").Keyed
    first = deciding_code(cls)
    _remembered.cache_clear()
    assert deciding_code(cls) == first
    edited(package / "keyed_runner/arithmetic.py", "a + b", "b + a")
    assert deciding_code(cls) != first


def test_an_unwritable_cache_only_costs_time(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "file").write_text("not a folder")
    monkeypatch.setenv("GROUPBENCH_CACHE", str(package / "file"))
    _remembered.cache_clear()
    cls = importlib.import_module("keyed_runner.runner").Keyed
    assert deciding_code(cls)
