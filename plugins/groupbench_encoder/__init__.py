"""Fine-tunes one shared transformer encoder per group, with one head per task.

The runner ``encoder``: hard parameter sharing (Caruana, "Multitask Learning", 1997) with
task-homogeneous batches (MT-DNN: Liu et al., ACL 2019, arXiv:1901.11504). A group of one task is
the single-task learner. ``runner.py`` holds the settings and imports nothing heavy; a fit goes
through ``weights``, ``encode``, ``batches``, ``training`` and ``predict``.
"""
