"""Plugins: who offers what, and getting at it. One that is broken is named and harms nothing."""

from groupbench.plugins.registry import Plugins

__all__ = ["Plugins"]
