"""Groups tasks whose pointwise V-information does not differ.

Li, Miller, Bethard and Savova, "Identifying task groupings for multi-task learning using pointwise
V-usable information" (2024, arXiv:2410.12774). Which test, which level and how pairs become groups
is not in any text that we could read, so ``pvi`` holds our recommendation and ``pvi-paper`` our
reading. Also the command ``groupbench pvi``: V-information of each task, PVI of each example.
"""
