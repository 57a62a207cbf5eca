"""The content-addressed, crash-safe home of fits, measurements, decisions and entries."""

from groupbench.store.draft import Draft
from groupbench.store.record import Record
from groupbench.store.store import Store

__all__ = ["Draft", "Record", "Store"]
