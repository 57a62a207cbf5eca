"""Cheap reference runners, so that a neural number is never read alone.

``majority`` knows only how often each label occurs; ``tfidf`` is logistic regression on words
(scikit-learn), for token tasks on features of the word and its neighbours.
"""
