"""Generated suites whose difficulty, families and domains are known beforehand.

``lexicon`` invents words and their hidden attributes, ``grammar`` writes sentences about them,
``design`` says which tasks a suite has, ``world`` draws one, ``truth`` holds the closed forms and
``suites`` offers the result to the engine.
"""
