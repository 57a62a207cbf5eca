"""What servers were found to be, between runs."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from groupbench.llm.findings import finding_of, keep_finding

if TYPE_CHECKING:
    from pathlib import Path

FOUND = {"model": "tiny-1", "root": "", "more": "3"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_last_finding_is_kept_for_the_user_alone(cache: Path) -> None:
    assert finding_of("http://a/v1", ["model"]) is None
    keep_finding("http://a/v1", {"model": "older"})
    keep_finding("http://a/v1", FOUND)
    assert finding_of("http://a/v1", ["model", "root"]) == {"model": "tiny-1", "root": ""}
    assert finding_of("http://b/v1", ["model"]) is None
    (file,) = [path for path in cache.rglob("*") if path.is_file()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", "3", '{"model": "tiny-1"}', "{"])
def test_what_another_version_or_a_cut_file_says_is_no_finding(cache: Path, text: str) -> None:
    keep_finding("http://a/v1", FOUND)
    (file,) = [path for path in cache.rglob("*") if path.is_file()]
    file.write_text(text)
    assert finding_of("http://a/v1", ["model", "root"]) is None


def test_a_cache_that_cannot_be_written_keeps_nothing_and_stops_nobody(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    keep_finding("http://a/v1", FOUND)
    assert finding_of("http://a/v1", ["model"]) is None
