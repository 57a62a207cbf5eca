"""The loader ``restricted``: corpora that only their owners hand out, read as they come.

Nothing is downloaded. Whoever signed the agreement unpacks the corpus below ``GROUPBENCH_DATA``.
"""
