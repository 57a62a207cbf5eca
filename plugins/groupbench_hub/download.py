"""The one place that calls ``datasets``: for the hub, and for folders of data files.

``datasets`` answers from its cache when the hub does not: with whatever revision and configuration
it finds there. So the rows of each pinned revision are kept in a folder of their own, which is all
that is read from then on: a task that was loaded once needs no network. Of a branch, the commit at
which it stood when it was first read is noted beside them.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from groupbench.canonical import digest
from groupbench.errors import DataError
from groupbench.offline import offline_because
from groupbench_hub.columns import ArrowColumns
from groupbench_hub.loader import EXPORT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench_hub.loader import HubLoader


def load(
    loader: HubLoader, config: str | None, splits: Mapping[str, str]
) -> dict[str, ArrowColumns]:
    """Return the columns of each of our splits, for one configuration.

    Args:
        loader: what to load.
        config: the configuration's name; ``None`` for the only one.
        splits: the data set's splits by ours.

    Raises:
        DataError: it cannot be had; the message says why.
    """
    offline = offline_because()
    if offline is not None and "datasets" not in sys.modules:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported
    try:
        import datasets
    except ImportError as problem:
        raise DataError(
            f"{loader.id}: the hub loader needs datasets ({problem}):"
            " pip install 'groupbench[hub]'."
        ) from None
    where = f"{loader.id}{f' ({config})' if config else ''}"
    if loader.local and not Path(loader.id).is_dir():
        raise DataError(f"{where}: there is no such folder.")
    theirs = tuple(splits.values())
    with _quiet(datasets), _network(datasets, allowed=offline is None):
        try:
            if loader.local:
                loaded = _load(datasets, {"path": loader.id, "name": config}, theirs)
            else:
                loaded = _pinned(datasets, loader, config, theirs)
        except DataError:
            raise
        except Exception as problem:  # datasets raises errors of every kind
            raise DataError(f"{where}: {_reason(problem, loader)}") from problem
    return {
        split: ArrowColumns(
            _without_empty(dataset, loader.drop_empty), f"{where}, {name}", loader.names
        )
        for (split, name), dataset in zip(splits.items(), loaded, strict=True)
    }


def commit_of(loader: HubLoader) -> str:
    """Return the commit that a loader reads, once it has read it: its revision, or the one noted.

    Raises:
        DataError: it names a branch that was never read here.
    """
    import datasets

    commit = loader.revision or _noted(_note(datasets, loader))
    if commit is None:
        raise DataError(f"{loader.id}: the branch {loader.branch} was never read here.")
    return commit


def _pinned(
    datasets: Any,  # noqa: ANN401 - the module
    loader: HubLoader,
    config: str | None,
    splits: Sequence[str],
) -> list[Any]:
    """Return the splits of a pinned revision: as they were kept, else from the hub."""
    home = _home(datasets)
    note = _note(datasets, loader)
    commit = loader.revision or _noted(note)
    if commit is None or not _kept(home, loader, commit, config, splits).is_dir():
        if offline := offline_because():
            what = f"revision {commit}" if commit else f"branch {loader.branch}"
            raise DataError(
                f"{loader.id}: {what} is not in {home}, and {offline} forbids"
                " the network; load the task once without it (groupbench tasks show)."
            )
        if Path(loader.id).exists():
            raise DataError(
                f"{loader.id}: is a hub data set, but ./{loader.id} is here too and would be read"
                " instead; run from another folder."
            )
        home.mkdir(parents=True, exist_ok=True)
        commit = commit or _stands_at(datasets, loader)
        kept = _kept(home, loader, commit, config, splits)
        with TemporaryDirectory(dir=home) as aside:
            options = {"path": loader.id, "name": config, "revision": commit}
            if loader.branch == EXPORT:  # declares no configurations: each is a folder
                options |= {"name": None, "data_dir": config or "default"}
            loaded = _load(datasets, options | {"cache_dir": f"{aside}/prepared"}, splits)
            for number, dataset in enumerate(loaded):
                dataset.save_to_disk(f"{aside}/kept/{number}")
            try:
                Path(aside, "kept").rename(kept)
            except OSError:
                if not kept.is_dir():  # else another process was first, with the same rows
                    raise
        if loader.branch is not None:
            _write_note(note, commit)
            commit = _noted(note) or commit  # of whoever was first
    kept = _kept(home, loader, commit, config, splits)
    try:
        return [datasets.load_from_disk(str(kept / str(n))) for n in range(len(splits))]
    except Exception as problem:
        raise DataError(
            f"{loader.id}: {kept} is damaged ({_first_line(problem)}); remove it and load again."
        ) from problem


def _without_empty(dataset: Any, column: str | None) -> Any:  # noqa: ANN401 - a datasets.Dataset
    """Return the rows in which ``column`` holds something."""
    if column is None or column not in dataset.column_names:
        return dataset
    cells = dataset.select_columns([column]).with_format("arrow")[:].column(column).to_pylist()
    return dataset.select([row for row, cell in enumerate(cells) if cell])


def _home(datasets: Any) -> Path:  # noqa: ANN401 - the module
    return Path(datasets.config.HF_DATASETS_CACHE) / "groupbench"


def _kept(
    home: Path, loader: HubLoader, commit: str, config: str | None, splits: Sequence[str]
) -> Path:
    """Return the folder of the rows of one commit."""
    read_as = [EXPORT] if loader.branch == EXPORT else []
    return home / digest([loader.id, commit, config, splits, *read_as])


def _note(datasets: Any, loader: HubLoader) -> Path:  # noqa: ANN401 - the module
    """Return the file that says at which commit a branch was first read."""
    return _home(datasets) / "branches" / f"{digest([loader.id, loader.branch])}.json"


def _noted(note: Path) -> str | None:
    try:
        commit = json.loads(note.read_text(encoding="utf-8"))["commit"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return commit if isinstance(commit, str) else None


def _write_note(note: Path, commit: str) -> None:
    """Note the commit, unless another process was first."""
    note.parent.mkdir(parents=True, exist_ok=True)
    aside = note.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps({"commit": commit}), encoding="utf-8")
    with suppress(FileExistsError):
        os.link(aside, note)
    aside.unlink()


def _stands_at(datasets: Any, loader: HubLoader) -> str:  # noqa: ANN401 - the module
    """Return the commit at which a branch stands now, as the hub says."""
    from huggingface_hub import HfApi

    hub = HfApi(endpoint=datasets.config.HF_ENDPOINT)
    commit = hub.dataset_info(loader.id, revision=loader.branch).sha
    if commit is None:
        raise DataError(f"{loader.id}: the hub does not say where {loader.branch} stands.")
    return commit


def _load(
    datasets: Any,  # noqa: ANN401 - the module
    options: Mapping[str, Any],
    splits: Sequence[str],
) -> list[Any]:
    builder = datasets.load_dataset_builder(**options)
    # Else pandas turns the texts null, NA and None of CSV files into missing values.
    texts = {"keep_default_na": False} if hasattr(builder.config, "keep_default_na") else {}
    loaded: list[Any] = datasets.load_dataset(**options, **texts, split=list(splits))
    return loaded


def _reason(problem: Exception, loader: HubLoader) -> str:
    """Return what went wrong and the mend, from what ``datasets`` says."""
    said = _first_line(problem)
    if loader.local:
        return f"{said}."
    at = f" at {f'revision {loader.revision}' if loader.revision else f'branch {loader.branch}'}"
    if isinstance(problem, ConnectionError):
        return f"the hub cannot be reached ({said}); try again when it can."
    if "scripts are no longer supported" in said:
        return (
            f"needs code of its own{at}, which is never run; pin a commit of its branch"
            f" {EXPORT} instead."
        )
    return f"{said}{at}."


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")


@contextmanager
def _network(datasets: Any, *, allowed: bool) -> Iterator[None]:  # noqa: ANN401 - the module
    """Forbid the network where it is forbidden, though the libraries were imported before."""
    import huggingface_hub.constants as hub

    before = datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE
    if not allowed:
        datasets.config.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE = before


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:  # noqa: ANN401 - the module
    """Hold back progress bars: the display belongs to whoever runs us."""
    was_on = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_on:
            datasets.enable_progress_bars()
