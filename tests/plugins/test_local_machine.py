"""What the executor finds out about its machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from groupbench_local import machine
from groupbench_local.executor import LocalExecutor

if TYPE_CHECKING:
    from pathlib import Path


def test_a_container_s_quota_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert machine.usable_cores() == 8
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.usable_cores() == 8
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert machine.usable_cores() == 2
    assert LocalExecutor().n_workers() == 2
    assert LocalExecutor(threads=2).n_workers() == 1
    assert LocalExecutor(workers=5).n_workers() == 5
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert machine.usable_cores() == 1


def test_a_container_s_limit_bounds_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    whole = machine.usable_memory_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.usable_memory_bytes() == whole
    (tmp_path / "memory.max").write_text("1048576\n")
    assert machine.usable_memory_bytes() == 1 << 20


@pytest.mark.parametrize(
    ("visible", "devices"),
    [("0,1", ("0", "1")), ("", ()), ("-1", ()), ("2,-1,0", ("2",)), ("GPU-8a", ("GPU-8a",))],
)
def test_visible_devices_are_read_as_cuda_reads_them(
    visible: str, devices: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpu_devices() == devices


def test_devices_are_listed_by_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu_devices() == ()
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 0\necho 1\n")
    driver.chmod(0o755)
    assert machine.gpu_devices() == ("0", "1")
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert machine.gpu_devices() == ()


def test_counts_of_kills_are_read_from_either_kind_of_file(tmp_path: Path) -> None:
    events, control = tmp_path / "memory.events", tmp_path / "memory.oom_control"
    events.write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n")
    control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    assert machine.count_oom_kills((events, control, tmp_path / "none")) == (2, 5, 0)
