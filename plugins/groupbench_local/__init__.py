"""The executor ``local``: fits side by side on this machine, each in a process of its own.

A fit that dies takes nothing with it: not the run, not the other fits, and no process that it
started stays behind. Libraries are imported once, in a process that forks the fits: the idea of
the standard library's ``forkserver``, with an environment, limits and lifetime of its own.
"""
