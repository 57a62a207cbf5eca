"""The project's own tasks: the calibration suites, whose answers are planted.

The suites follow the idea of measuring a method where the truth is known: a seeded grammar plants
difficulty, structure and domain, so that what a grouping strategy finds can be checked.
"""
