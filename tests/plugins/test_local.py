"""The executor ``local``: fits side by side, and every way in which one can end."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from groupbench.execute import Ending, Job, JobEnd
from groupbench.runner import Resources
from groupbench_local import session as session_module
from groupbench_local.executor import LocalExecutor
from groupbench_local.session import LocalSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FAKES = '''
"""A runner that does what it is told, to be imported by fits."""
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
from groupbench.runner import FitResult

@dataclass(frozen=True)
class Told:
    name: ClassVar[str] = "told"
    code: str

    def fit(self, request):
        facts = {}
        exec(self.code, facts)
        return FitResult(outputs={}, training={"said": facts.get("said")})
'''


@dataclass
class Bench:
    """Runs code as fits, through the session's own interface."""

    folder: Path
    told: Callable[[str], Any]
    numbers: Iterator[int]

    def job(self, code: str, **more: Any) -> Job:
        number = next(self.numbers)
        runner = self.told(textwrap.dedent(code))
        return Job(key=f"{number:08x}", label="", runner=runner, tasks=(), seed=0, **more)

    def submit(self, session: LocalSession, job: Job) -> Path:
        folder = self.folder / job.key
        folder.mkdir()
        session.submit(job, folder)
        return folder

    def run(self, session: LocalSession, *codes: str, **more: Any) -> list[JobEnd]:
        for code in codes:
            self.submit(session, self.job(code, **more))
        ends = []
        while (end := session.wait(60)) is not None:
            ends.append(end)
        return ends

    def said(self, end: JobEnd) -> Any:
        import json

        assert end.ending is Ending.DONE, (end.message, end.details)
        result = json.loads((self.folder / end.job.key / "result.json").read_text())
        return result["training"]["said"]


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fakes")
    (folder / "told_runner.py").write_text(FAKES)
    (folder / "slow_to_import.py").write_text(
        "import time\ntime.sleep(0.5)\nLOADED = time.time()\n"
    )
    (folder / "broken_import.py").write_text("raise ValueError('broken')\n")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def bench(fakes: Path, tmp_path: Path) -> Bench:
    del fakes
    import told_runner  # type: ignore[import-not-found] # written by the fixture

    return Bench(tmp_path, told_runner.Told, itertools.count())


@pytest.fixture(scope="module")
def shared(fakes: Path) -> Iterator[LocalSession]:
    """One session with two workers for the tests that leave it as it was."""
    del fakes
    with LocalExecutor(workers=2).open(("slow_to_import", "broken_import", "not_there")) as session:
        yield session


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return sys.platform != "linux"


def ends_within(seconds: float, pids: Sequence[int]) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def read_when_written(path: Path) -> str:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.02)
    return path.read_text()


def test_a_done_fit_leaves_its_results(shared: LocalSession, bench: Bench) -> None:
    (end,) = bench.run(shared, "said = [1, 'two']")
    assert end.ending is Ending.DONE
    assert (end.message, end.details) == ("", "")
    assert bench.said(end) == [1, "two"]
    assert 0 < end.seconds < 30
    assert end.peak_memory_bytes > 1 << 20


@pytest.mark.parametrize(
    ("code", "ending", "message", "detail"),
    [
        ("raise ValueError('no way\\nat all')", Ending.RAISED, "ValueError: no way", "Traceback"),
        ("raise SystemExit(3)", Ending.RAISED, "SystemExit: 3", "Traceback"),
        ("raise MemoryError", Ending.OUT_OF_MEMORY, "MemoryError", "Traceback"),
        (
            "class OutOfMemoryError(Exception): pass\nraise OutOfMemoryError('CUDA out of memory')",
            Ending.OUT_OF_MEMORY,
            "OutOfMemoryError: CUDA out of memory",
            "Traceback",
        ),
        (
            "import ctypes; ctypes.string_at(0)",
            Ending.DIED,
            "killed by signal 11 (SIGSEGV)",
            "Fatal",
        ),
        (
            "import os, signal; print('so far'); os.kill(os.getpid(), signal.SIGTERM)",
            Ending.DIED,
            "killed by signal 15 (SIGTERM)",
            "so far",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            Ending.DIED,
            "killed by signal 9 (SIGKILL)",
            "",
        ),
        (
            "import os; os.write(2, b'gone'); os._exit(7)",
            Ending.DIED,
            "its process exited with status 7 before it was done",
            "gone",
        ),
    ],
)
def test_every_bad_end_is_told_apart(  # noqa: PLR0913, PLR0917 - one for each column
    shared: LocalSession, bench: Bench, code: str, ending: Ending, message: str, detail: str
) -> None:
    bad, good = bench.run(shared, code), bench.run(shared, "said = 'unharmed'")
    assert [(end.ending, end.message) for end in bad] == [(ending, message)]
    assert detail in bad[0].details
    assert bench.said(good[0]) == "unharmed"


def test_what_cannot_be_pickled_fails_alone(shared: LocalSession, bench: Bench) -> None:
    job = Job(key="0" * 8, label="", runner=lambda: None, tasks=(), seed=0)  # type: ignore[arg-type]
    bench.submit(shared, job)
    end = shared.wait(30)
    assert end is not None
    assert end.ending is Ending.RAISED
    assert end.message.startswith("the fit cannot be sent to a process of its own: ")


def test_fits_run_side_by_side(shared: LocalSession, bench: Bench) -> None:
    bench.run(shared, "said = 0")
    assert shared.capacity() == 2
    meet = f"""
        import pathlib, time, os
        here = pathlib.Path({str(bench.folder)!r})
        (here / f"here-{{os.getpid()}}").write_text("")
        deadline = time.time() + 20
        while len(list(here.glob("here-*"))) < 2 and time.time() < deadline:
            time.sleep(0.01)
        said = len(list(here.glob("here-*")))
    """
    jobs = [bench.job(meet) for _ in range(3)]
    bench.submit(shared, jobs[0])
    assert shared.capacity() == 1
    bench.submit(shared, jobs[1])
    assert shared.capacity() == 0
    ends = [shared.wait(60), shared.wait(60)]
    assert [bench.said(end) for end in ends if end is not None] == [2, 2]
    assert shared.wait(60) is None
    assert shared.capacity() == 2


def test_waiting_ends_after_its_time(shared: LocalSession, bench: Bench) -> None:
    assert shared.wait() is None
    bench.submit(shared, bench.job("import time; time.sleep(1)"))
    began = time.monotonic()
    assert shared.wait(0.2) is None
    assert 0.15 < time.monotonic() - began < 0.9
    end = shared.wait(30)
    assert end is not None
    assert end.ending is Ending.DONE


def test_libraries_are_imported_before_fits_and_broken_ones_passed_over(
    shared: LocalSession, bench: Bench
) -> None:
    code = """
        import sys, time
        began = time.time()
        loaded = "slow_to_import" in sys.modules
        import slow_to_import
        said = [loaded, slow_to_import.LOADED < began, time.time() - began]
    """
    ends = bench.run(shared, code, code)
    for end in ends:
        loaded, before, seconds = bench.said(end)
        assert loaded
        assert before
        assert seconds < 0.25


def test_a_second_session_has_its_own_libraries(shared: LocalSession, bench: Bench) -> None:
    code = "import sys; said = ['slow_to_import' in sys.modules, 'wave' in sys.modules]"
    with LocalExecutor(workers=1).open(("wave",)) as other:
        (here,) = bench.run(other, code)
        (there,) = bench.run(shared, code)
    assert bench.said(here) == [False, True]
    assert bench.said(there) == [True, False]


def test_fits_have_one_thread_and_equal_hashes(shared: LocalSession, bench: Bench) -> None:
    code = """
        import os
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
        said = [os.environ[name] for name in names]
        said += [os.getpgid(0) == os.getsid(0) == os.getpid(), hash("a word")]
    """
    with LocalExecutor(workers=1).open(()) as other:
        ends = [*bench.run(shared, code), *bench.run(other, code)]
    first, second = map(bench.said, ends)
    assert first == second
    assert first[:4] == ["1", "1", "false", True]


def test_time_over_kills_all_that_a_fit_started(shared: LocalSession, bench: Bench) -> None:
    pids = bench.folder / "pids"
    code = f"""
        import os, subprocess, sys, time
        wait = [sys.executable, "-c", "import time; time.sleep(60)"]
        child = subprocess.Popen(wait)
        moved = subprocess.Popen(wait, process_group=0)
        with open({str(pids)!r}, "w") as file:
            print(os.getpid(), child.pid, moved.pid, file=file)
        time.sleep(60)
    """
    (end,) = bench.run(shared, code, max_seconds=1.0)
    assert (end.ending, end.message) == (Ending.TIMED_OUT, "killed after 1 s, its time limit")
    assert 0.9 < end.seconds < 10
    assert ends_within(5, [int(pid) for pid in pids.read_text().split()])


def test_what_a_done_fit_left_running_is_killed(shared: LocalSession, bench: Bench) -> None:
    (end,) = bench.run(
        shared,
        """
        import subprocess, sys
        said = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid
        """,
    )
    assert ends_within(5, [bench.said(end)])


def test_a_fit_over_its_memory_limit_is_killed(shared: LocalSession, bench: Bench) -> None:
    hog = "import time; hog = b'x' * (300 << 20); time.sleep(30)"
    modest = "import time; time.sleep(0.5); said = 'fits'"
    bench.submit(shared, bench.job(hog, max_memory_bytes=300 << 20))
    bench.submit(shared, bench.job(modest, max_memory_bytes=300 << 20))
    ends = {end.ending: end for end in (shared.wait(60), shared.wait(60)) if end is not None}
    assert set(ends) == {Ending.OUT_OF_MEMORY, Ending.DONE}
    out = ends[Ending.OUT_OF_MEMORY]
    assert out.message.endswith("its memory limit is 0.293 GiB")
    assert out.peak_memory_bytes > 300 << 20
    assert out.seconds < 20


def test_memory_of_children_counts(shared: LocalSession, bench: Bench) -> None:
    code = """
        import subprocess, sys
        hog = "hog = b'x' * (120 << 20); import time; time.sleep(30)"
        hogs = [subprocess.Popen([sys.executable, "-c", hog]) for _ in range(3)]
        [hog.wait() for hog in hogs]
    """
    (end,) = bench.run(shared, code, max_memory_bytes=330 << 20)
    assert end.ending is Ending.OUT_OF_MEMORY


def test_a_kill_by_the_system_for_memory_is_known(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 3\noom_kill 3\n")
    monkeypatch.setattr("groupbench_local.connection.oom_counters", lambda: (counter,))
    code = f"""
        import os, pathlib
        pathlib.Path({str(counter)!r}).write_text("low 0\\noom 4\\noom_kill {{}}\\n")
        os.kill(os.getpid(), 9)
    """
    with LocalExecutor(workers=1).open(()) as session:
        (died,) = bench.run(session, code.format(3))
        (starved,) = bench.run(session, code.format(4))
    assert died.ending is Ending.DIED
    assert starved.ending is Ending.OUT_OF_MEMORY
    assert starved.message == "killed by the system: the machine's memory ran out"


def test_each_gpu_has_one_fit(bench: Bench, fakes: Path) -> None:
    del fakes
    code = "import os, time; said = os.environ.get('CUDA_VISIBLE_DEVICES'); time.sleep(0.3)"
    executor = LocalExecutor(workers=4)
    with LocalSession(executor, (), find_gpus=lambda: ("3", "5")) as session:
        ends = bench.run(session, *[code] * 4, resources=Resources(gpus=1))
        both = bench.run(session, code, resources=Resources(gpus=8))
        none = bench.run(session, code, resources=Resources())
    assert sorted(bench.said(end) for end in ends) == ["3", "3", "5", "5"]
    assert [bench.said(end) for end in both] == ["3,5"]
    assert [bench.said(end) for end in none] == [os.environ.get("CUDA_VISIBLE_DEVICES")]


def test_a_fit_waits_for_cores_and_memory_that_others_hold(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "usable_memory_bytes", lambda: 10)
    alone = """
        import pathlib, time
        mark = pathlib.Path({mark!r})
        said = mark.exists()
        mark.touch()
        time.sleep(0.3)
        mark.unlink()
    """.format(mark=str(bench.folder / "mark"))
    for resources in (Resources(cpus=2), Resources(cpus=64), Resources(memory_bytes=6)):
        with LocalExecutor(workers=3).open(()) as session:
            ends = bench.run(session, *[alone] * 2, resources=resources)
        assert [bench.said(end) for end in ends] == [False] * 2


def test_output_without_end_does_not_fill_the_disk(bench: Bench) -> None:
    code = """
        import time, os
        for n in range(40):
            os.write(1, b"x" * (2 << 20))
            time.sleep(0.1)
        print("the end")
        1 / 0
    """
    with LocalExecutor(workers=1).open(()) as session:
        bench.submit(session, bench.job(code))
        scratch = session._scratch  # noqa: SLF001 - where logs are is nobody's business but this test's
        largest = 0
        while (end := session.wait(0.05)) is None:
            largest = max(largest, *(log.stat().st_size for log in scratch.glob("*.log")))
    assert 1 << 20 < largest < 60 << 20
    assert end.ending is Ending.RAISED
    assert "the end" in end.details


def test_a_dead_server_is_replaced_and_its_fits_reported(bench: Bench) -> None:
    pids = bench.folder / "pids"
    code = f"""
        import os, time
        with open({str(pids)!r}, "w") as file:
            print(os.getpid(), os.getppid(), file=file)
        time.sleep(60)
    """
    with LocalExecutor(workers=1).open(()) as session:
        bench.submit(session, bench.job(code))
        fit, server = map(int, read_when_written(pids).split())
        os.kill(server, signal.SIGKILL)
        end = session.wait(30)
        assert end is not None
        assert end.ending is Ending.DIED
        assert end.message.startswith("the process that starts fits died (status -9)")
        assert ends_within(5, [fit])
        (again,) = bench.run(session, "said = 'again'")
        assert bench.said(again) == "again"


def test_a_library_that_kills_its_process_is_not_imported_again(bench: Bench, fakes: Path) -> None:
    (fakes / "deadly_import.py").write_text("import os\nos.abort()\n")
    with LocalExecutor(workers=1).open(("deadly_import",)) as session:
        (end,) = bench.run(session, "said = 1")
        assert end.ending is Ending.DIED
        (again,) = bench.run(session, "said = 'alive'")
    assert bench.said(again) == "alive"


def test_closing_kills_what_runs_and_leaves_nothing(bench: Bench) -> None:
    pids = bench.folder / "pids"
    code = f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open({str(pids)!r}, "w") as file:
            print(os.getpid(), os.getppid(), file=file)
        time.sleep(60)
    """
    with LocalExecutor(workers=1).open(()) as session:
        bench.submit(session, bench.job(code))
        running = [int(pid) for pid in read_when_written(pids).split()]
        scratch = session._scratch  # noqa: SLF001 - likewise
        assert scratch.is_dir()
    assert not any(map(is_alive, running))
    assert not scratch.exists()
    session.close()
    with pytest.raises(ValueError, match="closed"):
        session.submit(bench.job("said = 1"), bench.folder)


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import told_runner
from groupbench.execute import Job
from groupbench_local.executor import LocalExecutor

folder = Path(sys.argv[2])
code = f'''
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open({str(folder / "pids-")!r} + str(os.getpid()), "w") as file:
    print(os.getpid(), os.getppid(), child.pid, file=file)
time.sleep(60)
'''
with LocalExecutor(workers=2).open(()) as session:
    for n in range(2):
        (folder / str(n)).mkdir()
        session.submit(Job(str(n) * 8, "", told_runner.Told(code), (), 0), folder / str(n))
    print(session._scratch, flush=True)
    session.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_killed_run(fakes: Path, tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(fakes), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        scratch = Path(parent.stdout.readline().strip())
        deadline = time.monotonic() + 30
        while len(files := list(tmp_path.glob("pids-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        pids = [int(pid) for path in files for pid in read_when_written(path).split()]
        os.killpg(parent.pid, number)
        parent.wait(30)
    assert len(pids) == 6
    assert ends_within(10, pids)
    assert not scratch.exists()


def test_wrong_settings_are_named() -> None:
    for wrong in ({"workers": -1}, {"threads": 0}, {"max_memory_gb": -0.5}, {"max_minutes": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LocalExecutor(**wrong)


def test_a_fit_costs_little_more_than_its_work(shared: LocalSession, bench: Bench) -> None:
    bench.run(shared, "said = 0")
    began = time.monotonic()
    ends = bench.run(shared, *["said = 0"] * 40)
    assert [end.ending for end in ends] == [Ending.DONE] * 40
    assert (time.monotonic() - began) / 40 < 0.5  # 0.02 on two idle cores
