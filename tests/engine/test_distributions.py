"""Entry points read from files are those that `importlib.metadata` finds."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from groupbench.plugins.distributions import EntryPoint, entry_points

if TYPE_CHECKING:
    from pathlib import Path


def asked(group: str) -> list[EntryPoint]:
    """Return what `importlib.metadata` says."""
    found = []
    for entry in metadata.entry_points(group=group):
        assert entry.dist is not None
        found.append(EntryPoint(entry.name, entry.value, entry.dist.name, entry.dist.version))
    return sorted(found)


def declare(folder: Path, version: str, points: str, *, name: str = "gb-made") -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head + "\nName: not this one, a description\n")
    (info / "entry_points.txt").write_text(points)


@pytest.mark.parametrize("group", ["groupbench", "groupbench.commands", "console_scripts"])
def test_what_is_installed_is_found(group: str) -> None:
    assert sorted(entry_points(group)) == asked(group)


def test_sections_comments_and_extras_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = "# none\n[groupbench.made]\none = a.b:c [extra]\n; two\n\n [other]\nthree=d\n"
    declare(tmp_path, "1.0", points.replace("; two\n", "two=e.f\n"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sorted(entry_points("groupbench.made")) == [
        EntryPoint("one", "a.b:c [extra]", "gb-made", "1.0"),
        EntryPoint("two", "e.f", "gb-made", "1.0"),
    ]
    assert sorted(entry_points("groupbench.made")) == asked("groupbench.made")
    assert entry_points("groupbench.mad") == []


def test_of_a_distribution_found_twice_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path / "late", "1.0", "[groupbench.made]\none = old\n", name="GB_Made")
    declare(tmp_path / "early", "2.0", "[groupbench.made]\none = new\n")
    for folder in ("late", "early"):
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    assert entry_points("groupbench.made") == [EntryPoint("one", "new", "gb-made", "2.0")]
    assert entry_points("groupbench.made") == asked("groupbench.made")


def test_a_plugin_in_an_archive_is_found_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path / "made", "1.0", "[groupbench.made]\none = zipped\n")
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for path in (tmp_path / "made").rglob("*.*"):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path / "made"))
        for path in (tmp_path / "made").rglob("METADATA"):
            archive.write(path, path.relative_to(tmp_path / "made"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "made.zip"), *sys.path])
    assert entry_points("groupbench.made") == [EntryPoint("one", "zipped", "gb-made", "1.0")]
