"""Rows of task cards from the Hugging Face hub, through ``datasets.load_dataset``.

A card says ``[source] loader = "hub"``, the data set's ``id`` and the ``revision`` it is pinned to.
A data set that needs code of its own is refused: nothing from the hub is ever executed.
"""
