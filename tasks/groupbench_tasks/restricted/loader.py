"""The ``restricted`` loader: which corpus, where it should lie, and who hands it out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from groupbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, Sequence[Any]]

VARIABLE = "GROUPBENCH_DATA"
"""The environment variable that names the folder of folders of corpora."""

_READERS = {
    "mednli": "mednli:read",
    "i2b2-2010-assertions": "i2b2_2010:read_assertions",
    "i2b2-2010-concepts": "i2b2_2010:read_concepts",
    "thyme-doctimerel": "thyme:read_doctimerel",
}
"""Where each reader is; it is imported when it reads."""


@dataclass(frozen=True)
class Restricted:
    """Rows of a corpus that its owners hand out after an agreement, from your own copy of it."""

    name: ClassVar[str] = "restricted"
    summary: ClassVar[str] = "Rows of a credentialed corpus, from your copy below GROUPBENCH_DATA."

    reader: str
    """What reads it: mednli, i2b2-2010-assertions, i2b2-2010-concepts or thyme-doctimerel."""
    folder: str
    """The corpus's folder below ``GROUPBENCH_DATA``."""
    expects: str
    """The files that it must hold, for whoever lacks them."""
    get_from: str
    """Where to ask for the corpus."""

    def __post_init__(self) -> None:
        if self.reader not in _READERS:
            raise ValueError(f"reader = {self.reader!r} is none of {', '.join(_READERS)}.")
        if not self.folder or Path(self.folder).name != self.folder or self.folder == "..":
            raise ValueError(f"folder = {self.folder!r} must be the name of one folder.")

    def provenance(self) -> dict[str, str]:
        """Return the folder that was read."""
        return {"folder": str(self._home())}

    def __call__(self) -> Mapping[str, Columns]:
        """Return columns by split.

        Raises:
            DataError: the corpus is not there, or a file is not what it should be.
        """
        home = self._home()
        if not home.is_dir():
            raise DataError(f"there is no folder {home}; {self._mend()}")
        module, _, function = _READERS[self.reader].partition(":")
        read: Callable[[Path], Mapping[str, Columns]] = getattr(
            import_module(f"groupbench_tasks.restricted.{module}"), function
        )
        splits = read(home)
        if empty := [split for split, columns in splits.items() if not any(columns.values())]:
            raise DataError(f"{home} holds nothing for {', '.join(empty)}; {self._mend()}")
        return splits

    def _home(self) -> Path:
        root = os.environ.get(VARIABLE, "")
        if not root:
            raise DataError(f"{VARIABLE} is not set; {self._mend()}")
        return Path(root) / self.folder

    def _mend(self) -> str:
        return (
            f"this corpus is never downloaded: ask for it at {self.get_from}, put {self.expects}"
            f" into {self.folder}/ and set {VARIABLE} to the folder that holds {self.folder}/."
        )
