"""Task cards: a task declared by a TOML file and the data beside it.

A card is a folder with ``card.toml`` and ``train``, ``validation`` and ``test`` as ``.parquet``,
``.jsonl``, ``.csv`` or ``.tsv``. Or its ``[source]`` table names a loader that gives the rows. Its
``[divide]`` table can have splits cut from train.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - msgspec reads the card's annotations
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupbench.cards.data import ROLES, Layout
from groupbench.cards.divide import check_divide
from groupbench.cards.file import (
    SCHEMA,
    check_choice,
    check_keys,
    described,
    read_card,
    type_error,
)
from groupbench.cards.formats import short
from groupbench.cards.loader import CardLoader
from groupbench.cards.paths import SPLITS, find_cards
from groupbench.cards.prompt import prompt_parts
from groupbench.cards.row_loader import LocalRowLoader, SelectiveRowLoader
from groupbench.errors import CardError, SettingError, UnknownNameError
from groupbench.settings import configure
from groupbench.task import NAME, DataClass, Kind, Task

if TYPE_CHECKING:
    from groupbench.cards.row_loader import RowLoader

TAG = re.compile(r"O|[BI]-.+", re.DOTALL)
"""What a label of a token task looks like."""


@dataclass(frozen=True)
class TaskCard:
    """What a card says, checked."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    """In the order that decides label indices. Token tasks: ``O``, ``B-x``, ``I-x``."""
    metrics: tuple[str, ...]
    primary_metric: str | None = None
    """``None``: the first of ``metrics``."""
    domain: str = "unstated"
    title: str = ""
    description: str = ""
    data_class: DataClass = DataClass.UNSTATED
    positive_label: str | None = None
    metric_excluded_labels: tuple[str, ...] = ()
    text_fields: Mapping[str, str] = field(default_factory=dict)
    """What the texts are, by role: ``{text = "question", text_pair = "abstract"}``."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns by role, where they are not named like it: see `ROLES`, and ``id``, ``cluster``."""
    id_column: str | None = None
    cluster_column: str | None = None
    """Holds the document or patient of each row; such rows stay together when data are divided."""
    prompt: Mapping[str, Any] = field(default_factory=dict)
    """Wording of prompts, part by part."""
    files: Mapping[str, str | bool] = field(default_factory=dict)
    """File names by split, where they are not ``<split>.<suffix>``; and ``quotes``, false where
    ``"`` is a character like any other in CSV and TSV."""
    divide: Mapping[str, float] = field(default_factory=dict)
    """Shares of the splits that are cut from train's rows, train's own among them; and ``seed``.
    A split that is not named has rows of its own. Empty: every split has."""
    source: Mapping[str, Any] | None = None
    """``loader`` names a plugin's loader; the other keys are its settings."""
    schema: str = SCHEMA
    path: str = ""
    """Of the TOML file, as it was given."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Keys that only describe: licence, citation, sizes and the like."""

    def __post_init__(self) -> None:
        self._check_names()
        self._check_labels()
        self._check_metrics()
        self._check_columns()
        self._check_files()
        prompt_parts(self.kind, self.prompt, self.labels, self.text_fields, self.path)

    def task(self, loaders: Mapping[str, type] | None = None) -> Task:
        """Return the task. Its data are read when they are first asked for.

        Args:
            loaders: what plugins registered, by name; needed for cards with a ``[source]``.

        Raises:
            CardError: the source names no loader, or one with other settings.
        """
        primary = self.primary_metric or self.metrics[0]
        rest = tuple(name for name in self.metrics if name != primary)
        return Task(
            name=self.name,
            kind=self.kind,
            labels=self.labels,
            metrics=(primary, *rest),
            loader=CardLoader(self, self._row_loader(loaders or {})),
            domain=self.domain,
            summary=self.title or self.description,
            data_class=self.data_class,
            positive_label=self.positive_label,
            excluded_labels=self.metric_excluded_labels,
            prompt=prompt_parts(self.kind, self.prompt, self.labels, self.text_fields, self.path),
            source=self.path,
        )

    @property
    def layout(self) -> Layout:
        """How the task's tables are read."""
        columns = {role: self.columns.get(role, role) for role in ROLES[self.kind]}
        for role, key in (("id", self.id_column), ("cluster", self.cluster_column)):
            if name := key or self.columns.get(role):
                columns[role] = name
        return Layout(self.kind, self.labels, columns)

    @property
    def own_splits(self) -> tuple[str, ...]:
        """The splits that have rows of their own: train, and those that are not cut from it."""
        return tuple(split for split in SPLITS if split == "train" or split not in self.divide)

    def _row_loader(self, loaders: Mapping[str, type]) -> RowLoader | None:
        if self.source is None:
            return None
        name = self.source["loader"]
        if name not in loaders:
            problem = UnknownNameError("loader", name, loaders)
            raise CardError(f"{self.path}: [source] loader: {problem}")
        settings = {key: value for key, value in self.source.items() if key != "loader"}
        try:
            loader: RowLoader = configure(
                loaders[name], settings, where=f"{self.path}: [source] loader {name}"
            )
        except SettingError as problem:
            raise CardError(str(problem)) from None
        if isinstance(loader, LocalRowLoader):
            loader = loader.beside(Path(self.path).parent)
        if self.divide and isinstance(loader, SelectiveRowLoader):
            try:
                loader = loader.only(self.own_splits)
            except ValueError as problem:
                raise CardError(f"{self.path}: [source] {problem}") from None
        return loader

    def _check_names(self) -> None:
        if self.schema != SCHEMA:
            raise CardError(
                f"{self.path}: schema = {self.schema!r}; this version reads '{SCHEMA}'."
            )
        if not NAME.fullmatch(self.name):
            raise CardError(
                f"{self.path}: name = {short(self.name)} must be 1 to 64 of a-z, 0-9, '-' and '_',"
                " the first a letter or digit."
            )
        if not self.domain.strip():
            raise CardError(f"{self.path}: domain is empty; name one, or leave the key out.")

    def _check_labels(self) -> None:
        if not self.labels:
            raise CardError(f"{self.path}: labels is empty; list every label.")
        if blank := [label for label in self.labels if not label.strip()]:
            raise CardError(f"{self.path}: labels holds {blank[0]!r}; a label needs a name.")
        if twice := sorted({name for name in self.labels if self.labels.count(name) > 1}):
            raise CardError(f"{self.path}: labels holds {twice[0]!r} more than once; keep one.")
        if self.kind is Kind.TOKEN:
            for tag in self.labels:
                if not TAG.fullmatch(tag):
                    raise CardError(
                        f"{self.path}: labels holds {tag!r}, but tags are 'O', 'B-x' or 'I-x'."
                    )
            if "O" not in self.labels:
                raise CardError(f"{self.path}: labels lacks 'O', the tag outside of all spans.")
        named = [] if self.positive_label is None else [("positive_label", self.positive_label)]
        named += [("metric_excluded_labels", label) for label in self.metric_excluded_labels]
        for key, label in named:
            check_choice(label, self.labels, key, self.path)
        if set(self.metric_excluded_labels) >= set(self.labels):
            raise CardError(f"{self.path}: metric_excluded_labels leaves no label to judge.")

    def _check_metrics(self) -> None:
        if not self.metrics:
            raise CardError(f"{self.path}: metrics is empty; name at least one.")
        if self.primary_metric is not None:
            check_choice(self.primary_metric, self.metrics, "primary_metric", self.path)
        if "f1_binary" in self.metrics and self.positive_label is None:
            raise CardError(
                f"{self.path}: the metric f1_binary needs positive_label, the label it is about."
            )

    def _check_columns(self) -> None:
        roles = (*ROLES[self.kind], "id", "cluster")
        for role, column in self.columns.items():
            check_choice(role, roles, f"[columns] {role} = {column!r}: the role", self.path)
        for role, key in (("id", self.id_column), ("cluster", self.cluster_column)):
            if key and self.columns.get(role, key) != key:
                raise CardError(
                    f"{self.path}: {role}_column = {key!r} but [columns] {role} ="
                    f" {self.columns[role]!r}; keep one."
                )
        used: dict[str, str] = {}
        for role, column in self.layout.columns.items():
            if column in used:
                raise CardError(
                    f"{self.path}: the column {column!r} is both {used[column]} and {role};"
                    " name two."
                )
            used[column] = role

    def _check_files(self) -> None:
        for key, value in self.files.items():
            check_choice(key, (*SPLITS, "quotes"), f"[files] {key} = {value!r}: the key", self.path)
            if isinstance(value, bool) is not (key == "quotes"):
                wanted = "true or false" if key == "quotes" else "a file name"
                raise CardError(f"{self.path}: [files] {key} = {value!r}: expected {wanted}.")
        check_divide(self.divide, self.files, self.path)
        if self.source is not None:
            if self.files:
                raise CardError(f"{self.path}: has both [files] and [source]; keep one.")
            if not isinstance(self.source.get("loader"), str):
                raise CardError(
                    f'{self.path}: [source] needs a loader, for example loader = "hub".'
                )


def load_card(path: str | Path) -> TaskCard:
    """Return the card of a TOML file, or of the folder that holds it as ``card.toml``.

    Raises:
        CardError: it cannot be read, has an unknown key, or contradicts itself.
    """
    import msgspec

    card, raw = read_card(path)
    where = str(card)
    known = [f.name for f in fields(TaskCard) if f.name not in ("path", "about")]
    check_keys(raw, known, where)
    for name, choices in (("kind", Kind), ("data_class", DataClass)):
        if name in raw:
            check_choice(raw[name], [str(choice) for choice in choices], name, where)
    said = {key: value for key, value in raw.items() if key in known}
    said |= {"path": where, "about": described(raw)}
    try:
        return msgspec.convert(said, type=TaskCard)
    except msgspec.ValidationError as problem:
        raise type_error(str(problem), raw, where) from None


def load_tasks_dir(folder: str | Path, loaders: Mapping[str, type] | None = None) -> list[Task]:
    """Return the tasks of every card in ``folder`` and below, without reading their data.

    Raises:
        CardError: there is none, one cannot be used, or two have the same name.
    """
    paths = find_cards(folder)
    if not paths:
        raise CardError(
            f"{folder}: holds no card.toml, at no depth; each task is a folder with one."
        )
    tasks: dict[str, Task] = {}
    for path in paths:
        task = load_card(path).task(loaders)
        if task.name in tasks:
            raise CardError(
                f"{path}: name = {task.name!r} is taken by {tasks[task.name].source}; rename one."
            )
        tasks[task.name] = task
    return list(tasks.values())
