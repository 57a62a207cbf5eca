"""Where things are in a store, and which versions of it this program reads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from groupbench.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("fits", "measurements", "groupings", "weights", "entries")
VERSION = 1
SCHEMA_FILE = "store.json"
QUARANTINE = "quarantine"
LOCKS = "locks"
TEMPORARY = ".tmp-"
KEY = re.compile(r"[0-9a-f]{8,64}")


def check_schema(root: Path) -> None:
    """Refuse a folder that is another program's, or a newer groupbench's.

    Raises:
        StoreError: what it is, and what to do.
    """
    path = root / SCHEMA_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema = document.get("schema") if isinstance(document, dict) else None
    except FileNotFoundError:
        return
    except (OSError, ValueError) as problem:
        raise StoreError(f"{path} cannot be read ({problem}): is {root} a store?") from None
    check_version(str(path), schema, "store")


def check_version(where: str, schema: object, noun: str) -> None:
    """Refuse a schema that this program does not read.

    Raises:
        StoreError: which schema was found where.
    """
    found = re.fullmatch(rf"groupbench/{noun}/([0-9]{{1,9}})", str(schema))
    if found is None:
        raise StoreError(f"{where}: schema is {schema!r}, not 'groupbench/{noun}/{VERSION}'.")
    if int(found[1]) > VERSION:
        raise StoreError(
            f"{where}: schema {found[0]} was written by a newer groupbench; this one reads up to "
            f"{noun}/{VERSION}: upgrade groupbench."
        )


def unwritable(root: Path, problem: OSError) -> StoreError:
    """Return the error that says why a store cannot be written."""
    return StoreError(
        f"store {root} cannot be written ({problem.strerror}): "
        "mend that, or name another with --store."
    )
