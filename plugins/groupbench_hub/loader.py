"""The ``hub`` loader: its settings, and its promise that a pinned revision is what is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from groupbench.cards.paths import CARD, SPLITS, inside
from groupbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench_hub.columns import ArrowColumns

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
COMMIT = re.compile(r"[0-9a-f]{40}")
BRANCH = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)*")
EXPORT = "refs/convert/parquet"
"""The branch into which the hub converts data sets: ``<config>/<split>/0000.parquet``."""


@dataclass(frozen=True)
class HubLoader:
    """Loads a data set of the Hugging Face hub at a pinned revision, or a folder of data files."""

    name: ClassVar[str] = "hub"
    summary: ClassVar[str] = "Rows of a Hugging Face hub data set at a pinned revision."

    id: str
    """``owner/name`` on the hub, or a folder beside the card that begins with ``./``."""
    revision: str | None = None
    """The commit, 40 hexadecimal digits; needed for a hub data set, none for a folder."""
    branch: str | None = None
    """Instead of a revision that is not known yet: a branch, such as `refs/convert/parquet`. The
    commit at which it stood when it was first read here is noted, and read from then on."""
    config: str | tuple[str, ...] | None = None
    """The configuration; of several, the rows are put one after another."""
    config_column: str | None = None
    """A column to add that holds the name of each row's configuration."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """Splits by ours, where they are not called train, validation and test; slices are allowed."""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The classes of columns that hold plain numbers, by column: class 0 first."""
    drop_empty: str | None = None
    """A column; rows in which it is empty are left out."""
    _only: tuple[str, ...] = field(default=SPLITS, init=False)
    """Our splits that are read."""

    def __post_init__(self) -> None:
        if self.local:
            for name in ("revision", "branch"):
                if (value := getattr(self, name)) is not None:
                    raise ValueError(f"{name} = {value!r} is for the hub; a folder has none.")
        elif not HUB_ID.fullmatch(self.id):
            raise ValueError(
                f"id = {self.id!r} is neither 'owner/name' on the hub nor a folder like './data'."
            )
        elif self.branch is not None:
            if self.revision is not None:
                raise ValueError(f"has a revision and branch = {self.branch!r}; keep one.")
            if not BRANCH.fullmatch(self.branch):
                raise ValueError(
                    f"branch = {self.branch!r} is no branch of the hub; try {EXPORT!r}."
                )
        elif self.revision is None or not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"revision = {self.revision!r} must be a commit, 40 hexadecimal digits;"
                f" https://huggingface.co/datasets/{self.id}/commits/main lists them."
            )
        if isinstance(self.config, tuple) and not self.config:
            raise ValueError("config = [] is empty; name a configuration, or leave the key out.")
        if self.config_column is not None and self.config is None:
            raise ValueError(f"config_column = {self.config_column!r} needs config.")
        for split in self.splits:
            if split not in SPLITS:
                raise ValueError(f"splits names {split!r}; our splits are {', '.join(SPLITS)}.")

    @property
    def local(self) -> bool:
        """Whether ``id`` is a folder."""
        return self.id.startswith((".", "/"))

    def beside(self, folder: Path) -> HubLoader:
        """Return the loader with a folder's path taken from the card's folder.

        Raises:
            CardError: the path leaves that folder.
        """
        if not self.local:
            return self
        path = inside(folder / CARD, self.id, "[source] id")
        return replace(self, id=str(path.resolve()))

    def only(self, splits: Sequence[str]) -> HubLoader:
        """Return the loader of these of our splits; the data set need not have the others.

        Raises:
            ValueError: ``splits`` of the settings names another.
        """
        for split in self.splits:
            if split not in splits:
                raise ValueError(
                    f"splits names {split!r}, which [divide] cuts from train; keep one."
                )
        made = replace(self)
        object.__setattr__(made, "_only", tuple(splits))
        return made

    def provenance(self) -> dict[str, str]:
        """Return where the rows were read: the data set and, of the hub's, the commit."""
        if self.local:
            return {"id": self.id}
        from groupbench_hub.download import commit_of

        return {"id": self.id, "revision": commit_of(self)}

    def __call__(self) -> dict[str, Mapping[str, Sequence[Any]]]:
        """Return columns by split.

        Raises:
            DataError: ``datasets`` is not installed, the data set, configuration, split or
                revision is not there, or offline and not in the cache.
        """
        from groupbench_hub.download import load

        wanted = {split: self.splits.get(split, split) for split in self._only}
        configs = self.config if isinstance(self.config, tuple) else (self.config,)
        parts: list[dict[str, ArrowColumns]] = [load(self, config, wanted) for config in configs]
        merged: dict[str, Mapping[str, Sequence[Any]]] = {}
        for split in wanted:
            first = parts[0][split]
            for config, part in zip(configs, parts, strict=True):
                if set(part[split]) != set(first):
                    raise DataError(
                        f"{self.id}: configurations have different columns:"
                        f" {sorted(first)} in {configs[0]}, {sorted(part[split])} in {config}."
                    )
            column = self.config_column
            if column is not None and column in first:
                raise DataError(
                    f"{self.id}: config_column = {column!r} is a column already; name another."
                )
            tables = [
                (config or "", part[split]) for config, part in zip(configs, parts, strict=True)
            ]
            merged[split] = Merged(tables, column)
        return merged


class Merged(Mapping[str, Sequence[Any]]):
    """Columns of several configurations, one after another, each made when it is asked for."""

    def __init__(
        self, tables: Sequence[tuple[str, ArrowColumns]], config_column: str | None
    ) -> None:
        self._tables = tables
        self._config_column = config_column

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name == self._config_column:
            return [config for config, table in self._tables for _ in range(table.n_rows)]
        return [cell for _, table in self._tables for cell in table[name]]

    def __contains__(self, name: object) -> bool:
        return name == self._config_column or name in self._tables[0][1]

    def __iter__(self) -> Iterator[str]:
        yield from self._tables[0][1]
        if self._config_column is not None:
            yield self._config_column

    def __len__(self) -> int:
        return len(self._tables[0][1]) + (self._config_column is not None)
