"""An example plugin: three tasks, a grouping strategy with a probe of its own, and a runner.

The runner follows the averaged word vectors of Joulin et al., "Bag of Tricks for Efficient Text
Classification" (EACL 2017, arXiv:1607.01759), without n-grams.
"""
