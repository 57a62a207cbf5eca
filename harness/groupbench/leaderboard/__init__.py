"""Leaderboards: scores of entries with uncertainty, ranks and costs; a pure function of entries."""

from groupbench.leaderboard.board import Leaderboard
from groupbench.leaderboard.facts import SuiteFacts, TaskFacts

__all__ = ["Leaderboard", "SuiteFacts", "TaskFacts"]
