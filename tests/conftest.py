"""What all tests share: no network, a cache of their own, and a plugin that counts its fits."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
from sites import FIXTURE_PLUGIN, Site, write_tasks

NO_NETWORK = Path(__file__).parent / "no_network"

# Children inherit the block through PYTHONPATH; this process runs it now.
runpy.run_path(str(NO_NETWORK / "sitecustomize.py"))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(NO_NETWORK), os.environ.get("PYTHONPATH", "")])
)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["GROUPBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with nothing in it but groupbench."""
    folder = tmp_path / "site"
    folder.mkdir()
    return Site(folder)


@pytest.fixture
def fixture_site(site: Site) -> Site:
    """A site with the fixture plugin: runners that count, fail or wait as they are told."""
    site.paths.append(FIXTURE_PLUGIN)
    site.install("groupbench-fixture", module="groupbench_fixture.hooks")
    return site


@pytest.fixture
def tasks_dir(tmp_path: Path) -> Path:
    """Three small tasks as cards."""
    return write_tasks(tmp_path / "cards", ["alpha", "beta", "gamma"])
