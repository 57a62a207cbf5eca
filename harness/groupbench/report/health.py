"""What this machine can and cannot run, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from groupbench.report.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping


def health_text(document: Mapping[str, Any]) -> Text:
    """Return a ``health`` document as text."""
    gigabytes = document["memory_bytes"] / (1 << 30)
    libraries = document["libraries"]
    there = ", ".join(f"{name} {version}" for name, version in libraries.items() if version)
    absent = ", ".join(name for name, version in libraries.items() if version is None)
    lines = [
        f"Python {document['python']} on {document['platform']}",
        f"{document['cpus']} CPUs, {gigabytes:.1f} GiB of memory"
        + (", offline" if document["offline"] else ""),
        f"Installed: {there}",
        *([f"Not installed: {absent}"] if absent else []),
    ]
    for row in document["available"]:
        state = "can run" if row["available"] else f"cannot run as it is. {sentence(row['reason'])}"
        lines.append(f"{row['kind']} {row['name']} {state}")
    lines += document["broken"]
    return Text("\n".join(map(plain, lines)))
