"""The one place that calls ``datasets``: for the hub, and for folders of data files.

``datasets`` answers from its cache when the hub does not: with whatever revision and configuration
it finds there. So the rows of each pinned revision are kept in a folder of their own, which is all
that is read from then on: a task that was loaded once needs no network.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from groupbench.canonical import digest
from groupbench.errors import DataError
from groupbench_hub.columns import ArrowColumns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench_hub.loader import HubLoader

OFFLINE = ("GROUPBENCH_OFFLINE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
"""Environment variables that forbid the network."""


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
        split: ArrowColumns(dataset, f"{where}, {name}")
        for (split, name), dataset in zip(splits.items(), loaded, strict=True)
    }


def offline_because() -> str | None:
    """Return the variable that forbids the network; ``None`` where none does."""
    for name in OFFLINE:
        if os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off"):
            return name
    return None


def _pinned(
    datasets: Any,  # noqa: ANN401 - the module
    loader: HubLoader,
    config: str | None,
    splits: Sequence[str],
) -> list[Any]:
    """Return the splits of a pinned revision: as they were kept, else from the hub."""
    home = Path(datasets.config.HF_DATASETS_CACHE) / "groupbench"
    kept = home / digest([loader.id, loader.revision, config, splits])
    if not kept.is_dir():
        if offline := offline_because():
            raise DataError(
                f"{loader.id}: revision {loader.revision} is not in {home}, and {offline} forbids"
                " the network; load the task once without it (groupbench tasks check)."
            )
        if Path(loader.id).exists():
            raise DataError(
                f"{loader.id}: is a hub data set, but ./{loader.id} is here too and would be read"
                " instead; run from another folder."
            )
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=home) as aside:
            options = {"path": loader.id, "name": config, "revision": loader.revision}
            loaded = _load(datasets, options | {"cache_dir": f"{aside}/prepared"}, splits)
            for number, dataset in enumerate(loaded):
                dataset.save_to_disk(f"{aside}/kept/{number}")
            try:
                Path(aside, "kept").rename(kept)
            except OSError:
                if not kept.is_dir():  # else another process was first, with the same rows
                    raise
    try:
        return [datasets.load_from_disk(str(kept / str(n))) for n in range(len(splits))]
    except Exception as problem:
        raise DataError(
            f"{loader.id}: {kept} is damaged ({_first_line(problem)}); remove it and load again."
        ) from problem


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
    at = f" at revision {loader.revision}"
    if isinstance(problem, ConnectionError):
        return f"the hub cannot be reached ({said}); try again when it can."
    if "scripts are no longer supported" in said:
        return (
            f"needs code of its own{at}, which is never run; pin a commit of its branch"
            " refs/convert/parquet instead."
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
