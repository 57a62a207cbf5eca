"""A provider with an API of its own, as an outside plugin: the models of an imagined Quill Ltd."""
