"""A new task from data files: what its card will say and why, and writing it.

Nothing is written before the card, and every row under it, has been found good.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.authoring.card_text import card_text
from groupbench.authoring.columns import columns_of
from groupbench.authoring.data_files import DataFiles
from groupbench.authoring.doubts import Doubt, column_doubts
from groupbench.authoring.guess import guess
from groupbench.authoring.names import LABEL_NAMES
from groupbench.cards.card import TaskCard
from groupbench.cards.formats import missing_column, select
from groupbench.cards.loader import task_data
from groupbench.cards.paths import CARD, SPLITS, inside
from groupbench.errors import CardError, DataError
from groupbench.task import NAME, DataClass, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.authoring.roles import Asked, Guess
    from groupbench.task import TaskData

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
"""How one file is cut; where a split is there already, its share is train's."""
MOSTLY = 2 / 3
"""A label with more of the rows than this makes accuracy easy to have."""


@dataclass(frozen=True)
class Wishes:
    """What the user wants of the card. ``None`` and empty: to be found out."""

    data_class: DataClass
    asked: Asked
    name: str | None = None
    metrics: tuple[str, ...] = ()
    positive_label: str | None = None
    domain: str | None = None
    out: Path | None = None
    """The folder that the task's folder is written into; ``None``: beside the data."""


@dataclass(frozen=True)
class NewTask:
    """A task that can be written."""

    card: TaskCard
    """Its ``path`` is where it will lie."""
    copies: Mapping[str, Path]
    """Where each file that is copied beside the card comes from, by name."""
    why: Mapping[str, str]
    """How things were decided: by role of a column, and ``kind``, ``metrics``, ``splits``."""
    doubts: tuple[Doubt, ...]
    sizes: Mapping[str, int]
    """Examples of each split."""

    @property
    def path(self) -> Path:
        """Of the card."""
        return Path(self.card.path)

    @property
    def text(self) -> str:
        """The card as TOML."""
        return card_text(self.card, self.why)

    def write(self, *, force: bool = False) -> None:
        """Copy what is to be copied, and write the card last.

        Raises:
            CardError: a file is there already and ``force`` is not given, or one cannot be written.
        """
        home = self.path.parent
        targets = [*(home / name for name in self.copies), self.path]
        if not force and (there := [path for path in targets if os.path.lexists(path)]):
            raise CardError(
                f"{there[0]}: is there already, and nothing was written; --force overwrites it,"
                " --out or --name puts the task elsewhere."
            )
        try:
            home.mkdir(parents=True, exist_ok=True)
            for name, source in self.copies.items():
                _replace(home / name, source)
            _replace(self.path, self.text)
        except OSError as problem:
            raise CardError(
                f"{problem.filename or home}: cannot be written ({problem.strerror}); name another"
                " folder with --out."
            ) from None


def new_task(paths: Sequence[Path], wishes: Wishes) -> NewTask:
    """Return the task that ``paths`` make: one folder, or a file, or a file for each split.

    Raises:
        CardError: the data are of no kind of task, or something must be said by the user.
        DataError: a file cannot be read, or a row is wrong.
    """
    data = DataFiles.read(paths)
    where = str(data.folder or data.files["train"])
    _demand_labels(data, wishes.asked.label)
    columns = columns_of(dict(table.columns) for table in data.tables.values())
    found = guess(columns, wishes.asked, where)
    doubts = list(found.doubts)
    name = wishes.name or _slug(data.name)
    home, copies = _home(data, name, wishes.out)
    metrics, why_metrics = _metrics(found, wishes)
    why = found.why | {"metrics": why_metrics, "splits": _why_splits(data)}
    files: dict[str, str | bool] = {split: path.name for split, path in data.files.items()}
    if not data.quotes:
        files["quotes"] = False
        doubts.append(
            Doubt("quotes", 'The files only make sense where " is a plain character; so read.')
        )
    roles = {r: c for r, c in found.columns.items() if r not in {"id", "cluster"}}
    for split in data.files:
        inside(home / CARD, str(files[split]), f"[files] {split}")
    card = TaskCard(
        name=name,
        kind=found.kind,
        labels=found.labels,
        metrics=metrics,
        domain=wishes.domain or "unstated",
        data_class=wishes.data_class,
        positive_label=wishes.positive_label,
        columns={role: column for role, column in roles.items() if role != column},
        id_column=found.columns.get("id"),
        cluster_column=found.columns.get("cluster"),
        files=files,
        divide=_divide(data),
        path=str(home / CARD),
    )
    sizes = _sizes(_load(card, data))
    doubts += column_doubts(columns, card.layout.columns.values())
    doubts += _more_doubts(data, wishes)
    return NewTask(card, copies, why, tuple(doubts), sizes)


def _load(card: TaskCard, data: DataFiles) -> TaskData:
    """Return what the card will load, read from where the files are now."""
    wanted = tuple(card.layout.columns.values())
    tables = {}
    for split, table in data.tables.items():
        for column in wanted:
            if column not in table.columns:
                raise missing_column(column, table.columns, table.where)
        chosen = select(table.columns, wanted, table.where)
        tables[split] = type(chosen)(table.where, chosen.columns, chosen.n_rows, table.lines)
    return task_data(card, tables)


def _demand_labels(data: DataFiles, label: str | None) -> None:
    """Raise `DataError` for a file that lacks the labels that train has."""
    train = data.tables["train"].columns
    for table in data.tables.values():
        for name in train:
            called = name == label or (label is None and name.lower() in {*LABEL_NAMES, "tags"})
            if called and name not in table.columns:
                raise DataError(
                    f"{table.where}: has no column {name!r}, which train has, and a split without"
                    " labels judges nothing. Name the other files alone: what is missing is cut"
                    " from train."
                )


def _home(data: DataFiles, name: str, out: Path | None) -> tuple[Path, dict[str, Path]]:
    """Return the folder of the card, and the files to be copied there."""
    if not NAME.fullmatch(name):
        raise CardError(
            f"name = {name!r} must be 1 to 64 of a-z, 0-9, '-' and '_', the first a letter or"
            " digit; say another with --name."
        )
    if out is None and data.folder is not None:
        return data.folder, {}
    home = (data.files["train"].parent if out is None else out) / name
    copies = {path.name: path for path in data.files.values()}
    if len(copies) < len(data.files):
        raise CardError(
            f"{home}: two files are called {next(iter(copies))}; rename one, since they are copied"
            " into one folder."
        )
    if home.resolve() == data.files["train"].resolve().parent:
        return home, {}
    return home, copies


def _divide(data: DataFiles) -> dict[str, float]:
    missing = [split for split in SPLITS if split not in data.files]
    if not missing:
        return {}
    shares = {split: SHARES[split] for split in missing}
    rest = round(1 - sum(shares.values()), 6)
    return {"train": rest, **shares, "seed": 0}


def _why_splits(data: DataFiles) -> str:
    missing = [split for split in SPLITS if split not in data.files]
    if not missing:
        return "a file for each"
    what = "one file" if len(data.files) == 1 else f"no file of {' and '.join(missing)}"
    return f"{what}: cut from {data.files['train'].name}, seeded and stratified, copies together"


def _metrics(found: Guess, wishes: Wishes) -> tuple[tuple[str, ...], str]:
    if wishes.metrics:
        return wishes.metrics, "as you said"
    if found.kind is Kind.TOKEN:
        return ("seqeval_f1",), "entities that are right from end to end"
    if found.kind is Kind.MULTILABEL:
        return ("f1_micro", "f1_macro"), "all labels of all rows as one; then each label alike"
    if max(found.counts.values()) > MOSTLY * sum(found.counts.values()):
        return ("f1_macro", "accuracy"), "one label is so common that accuracy says little"
    return ("accuracy", "f1_macro"), "labels are not far from balanced"


def _sizes(data: TaskData) -> dict[str, int]:
    n = {split: len(rows) for split, rows in data.items()}
    validation = n[Split.DEV_A] + n[Split.DEV_B]
    return {"train": n[Split.TRAIN], "validation": validation, "test": n[Split.TEST]}


def _more_doubts(data: DataFiles, wishes: Wishes) -> list[Doubt]:
    doubts = []
    if wishes.domain is None:
        text = "The domain is not stated; the grouping by-domain wants it (--domain retail)."
        doubts.append(Doubt("domain", text))
    if data.passed_over:
        text = f"Beside the data lie {', '.join(data.passed_over[:5])}: not used. If they are"
        text += " splits, name the folder, or all files."
        doubts.append(Doubt("passed-over", text))
    return doubts


def _slug(name: str) -> str:
    """Return a file's name as a task's.

    >>> _slug("My Reviews (2024)")
    'my-reviews-2024'
    """
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-_")[:64] or "my-task"


def _replace(target: Path, content: Path | str) -> None:
    """Write a file whole or not at all."""
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if isinstance(content, str):
            aside.write_text(content, encoding="utf-8", newline="\n")
        else:
            shutil.copyfile(content, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
