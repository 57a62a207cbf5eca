"""Row loaders: what a card's ``[source]`` names, and what one may be able to do besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

Columns: TypeAlias = Mapping[str, Sequence[Any]]


class RowLoader(Protocol):
    """Gives the rows of a task from elsewhere. Implemented by plugins, as a frozen dataclass.

    Its fields are the other keys of the card's ``[source]`` table. It is picklable, and equal calls
    give equal rows. ``name`` and ``summary`` are class attributes.
    """

    def __call__(self) -> Mapping[str, Columns]:
        """Return columns by split: ``train``, ``validation`` and ``test``.

        Raises:
            DataError: the rows cannot be had.
        """
        ...


class TraceableRowLoader(RowLoader, Protocol):
    """A `RowLoader` that can say what it has read."""

    def provenance(self) -> Mapping[str, str]:
        """Return where the rows came from, such as the ``revision``; called after them."""
        ...


@runtime_checkable
class LocalRowLoader(Protocol):
    """A `RowLoader` that can also read files beside the card."""

    def beside(self, folder: Path) -> RowLoader:
        """Return the loader with its relative paths taken from ``folder``, the card's.

        Raises:
            CardError: a path leaves the folder.
        """
        ...


@runtime_checkable
class SelectiveRowLoader(Protocol):
    """A `RowLoader` that can also give some of the splits: where a card divides train into others.

    One that cannot gives them all, and those that the card divides are left aside.
    """

    def only(self, splits: Sequence[str]) -> RowLoader:
        """Return the loader that reads and gives ``splits`` alone.

        Raises:
            ValueError: its settings say something of another split.
        """
        ...
