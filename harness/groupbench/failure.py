"""What is said of an exception, where it becomes a row or a message."""

from __future__ import annotations

import traceback


def describe_failure(failure: BaseException) -> tuple[str, str]:
    """Return one line about an exception, and its traceback, without API keys that were read."""
    from groupbench.llm.secrets import struck

    reason = str(failure).strip().splitlines()
    line = f"{type(failure).__name__}: {reason[0]}" if reason else type(failure).__name__
    return struck(line), struck("".join(traceback.format_exception(failure)))
