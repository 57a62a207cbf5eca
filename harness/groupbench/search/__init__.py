"""From scores to groupings: exact where the size allows it, heuristic beyond.

Answers depend on the tasks' names and scores only, never on the order they are given in.
"""

from __future__ import annotations

from groupbench.search.agreement import adjusted_rand_index
from groupbench.search.cliques import Cliques, clique_cover, clique_partition
from groupbench.search.linkage import complete_linkage, components
from groupbench.search.partition import exact_partition
from groupbench.search.relation import Relation

__all__ = [
    "Cliques",
    "Relation",
    "adjusted_rand_index",
    "clique_cover",
    "clique_partition",
    "complete_linkage",
    "components",
    "exact_partition",
]
