"""Groupings that measure nothing: what every other strategy must beat.

``single`` and ``all`` are the ends, ``random`` is chance, ``by-domain`` and ``by-kind`` are an
expert's guess, ``by-family`` is the planted truth of generated tasks, and ``fixed`` is a file.
"""
