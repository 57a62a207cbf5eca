"""Groups that the user wrote down."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from groupbench.errors import GroupingError, SettingError
from groupbench.grouping import Group, Grouping, Plan

if TYPE_CHECKING:
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Fixed:
    """Groups read from a TOML or JSON file, or written into the experiment.

    ``groups`` is a list; each item is a list of tasks, or a table with ``trains`` and ``serves``.
    What ``groupbench group --json`` prints is such a file.
    """

    name: ClassVar[str] = "fixed"
    summary: ClassVar[str] = "groups from a TOML or JSON file"

    file: str = ""
    """The file: groups = [["a", "b"], ["c"]], or tables with trains and serves."""
    groups: tuple[tuple[str, ...], ...] = ()
    """The groups themselves, instead of a file."""

    def __post_init__(self) -> None:
        if self.file and self.groups:
            raise ValueError("file and groups both say which groups; give one of them")

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        self.propose(suite, workbench)
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        """Return the written groups.

        Raises:
            GroupingError: the file cannot be read, or its groups do not serve each task of the
                suite once; the message names the file, the group and the task.
            SettingError: neither a file nor groups are given.
        """
        del workbench
        where = f"fixed: {self.file}" if self.file else "fixed"
        if not self.file and not self.groups:
            raise SettingError('fixed: name a file, as fixed:file="groups.toml".')
        written = _read(Path(self.file)) if self.file else self.groups
        groups = tuple(_group(item, i, suite, where) for i, item in enumerate(written, start=1))
        try:
            grouping = Grouping(groups)
            grouping.check(suite)
        except GroupingError as problem:
            raise GroupingError(f"{where}: {problem}") from None
        return grouping


def _read(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise GroupingError(f"fixed: cannot read {path}: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise GroupingError(f"fixed: {path} is not UTF-8 text.") from None
    is_json = path.suffix == ".json"
    try:
        document = json.loads(text) if is_json else tomllib.loads(text)
    except ValueError as problem:
        kind = "JSON" if is_json else "TOML"
        raise GroupingError(f"fixed: {path} is not valid {kind}: {problem}.") from None
    groups = document.get("groups") if isinstance(document, dict) else document
    if not isinstance(groups, list) or not groups:
        raise GroupingError(f'fixed: {path} has no list "groups", such as [["a", "b"], ["c"]].')
    return groups


def _group(item: Any, number: int, suite: Suite, where: str) -> Group:  # noqa: ANN401 - what was read
    where = f"{where}: group {number}"
    if isinstance(item, dict):
        if unknown := sorted(set(item) - {"trains", "serves"}):
            raise GroupingError(f"{where}: no field {unknown[0]!r}; known: trains, serves.")
        trains = _names(item.get("trains", item.get("serves")), suite, where)
        serves = _names(item.get("serves", trains), suite, where)
    else:
        trains = serves = _names(item, suite, where)
    try:
        return Group(trains, serves)
    except GroupingError as problem:
        raise GroupingError(f"{where}: {problem}") from None


def _names(item: Any, suite: Suite, where: str) -> tuple[str, ...]:  # noqa: ANN401 - what was read
    if not isinstance(item, list | tuple) or not all(isinstance(name, str) for name in item):
        raise GroupingError(f"{where}: {item!r} must be a list of task names.")
    for name in item:
        if name not in suite.names:
            near = get_close_matches(name, suite.names, n=1)
            mend = f" Did you mean '{near[0]}'?" if near else ""
            raise GroupingError(f"{where}: suite {suite.name} has no task '{name}'.{mend}")
    return tuple(item)
