"""The project's own tasks: the calibration suites, whose answers are planted, and cards of others.

The suites follow the idea of measuring a method where the truth is known: a seeded grammar plants
difficulty, structure and domain, so that what a grouping strategy finds can be checked.

The cards name data sets of the Hugging Face hub and corpora that only their owners hand out; no
text of theirs is here.
"""
