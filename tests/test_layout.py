"""Folders, entry points, installed metadata and documentation say the same."""

from __future__ import annotations

import tomllib
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import groupbench
from groupbench import hookspecs
from groupbench.plugins.loading import REGISTER_HOOKS

ROOT = Path(__file__).parents[1]
HOOKS = [name for name in vars(hookspecs) if name.startswith("groupbench_")]


def project() -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return document


def plugin_folders() -> list[Path]:
    return sorted([*(ROOT / "plugins").glob("*/"), *(ROOT / "tasks").glob("*/")])


def test_every_plugin_folder_has_an_entry_point_and_every_entry_point_a_folder() -> None:
    declared = project()["project"]["entry-points"]["groupbench"]
    folders = {path.name for path in plugin_folders() if path.name != "__pycache__"}
    assert {value.partition(".")[0] for value in declared.values()} == folders
    for name, value in declared.items():
        assert value == f"groupbench_{name}.hooks"


@pytest.mark.parametrize("group", ["groupbench", "groupbench.commands"])
def test_the_installed_entry_points_are_those_declared(group: str) -> None:
    declared = project()["project"]["entry-points"][group]
    installed = {
        entry.name: entry.value
        for entry in metadata.entry_points(group=group)
        if entry.dist is not None and entry.dist.name == "groupbench"
    }
    assert installed == declared, "run `pip install -e .` again"


@pytest.mark.parametrize("folder", plugin_folders(), ids=lambda path: path.name)
def test_every_plugin_has_the_same_shape(folder: Path) -> None:
    if folder.name == "__pycache__":
        return
    assert {"__init__.py", "hooks.py", "py.typed"} <= {path.name for path in folder.iterdir()}
    assert folder.name.startswith("groupbench_")
    assert import_module(folder.name).__doc__, (
        "its __init__ says what it offers and whose idea it is"
    )


def test_source_roots_hold_only_prefixed_packages() -> None:
    for root in ("harness", "plugins", "tasks"):
        strangers = [
            path.name
            for path in (ROOT / root).iterdir()
            if not path.name.startswith(("groupbench", ".", "__"))
        ]
        assert not strangers


def test_import_linter_watches_every_package() -> None:
    linter = project()["tool"]["importlinter"]
    packages = {path.name for path in plugin_folders() if path.name != "__pycache__"}
    in_harness = {path.name for path in (ROOT / "harness").glob("groupbench*/")}
    assert set(linter["root_packages"]) == {*in_harness, *packages}
    (independence,) = [c for c in linter["contracts"] if c["type"] == "independence"]
    assert set(independence["modules"]) == packages


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented(hook: str) -> None:
    specification = getattr(hookspecs, hook)
    text = (specification.__doc__ or "").strip()
    assert text.startswith("Return " if "_register_" in hook else "Observe ")
    arguments = specification.__code__.co_varnames[: specification.__code__.co_argcount]
    for argument in arguments:
        assert f"        {argument}: " in specification.__doc__


def test_every_register_hook_can_be_looked_up() -> None:
    assert {hook for hook in HOOKS if "_register_" in hook} == set(REGISTER_HOOKS.values())


@pytest.mark.parametrize("name", groupbench.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(groupbench, name) is not None
    assert name in dir(groupbench)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Tsk'"):
        groupbench.Tsk  # noqa: B018 - looking it up is the test


def test_the_packages_tell_type_checkers_that_they_are_typed() -> None:
    spec = find_spec("groupbench")
    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").is_file()
