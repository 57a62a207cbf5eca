"""What this plugin offers."""

from __future__ import annotations

from groupbench import hookimpl
from groupbench_quill.runner import QuillRunner

GROUPBENCH_API = 1


@hookimpl
def groupbench_register_runners() -> list[type[QuillRunner]]:
    return [QuillRunner]
