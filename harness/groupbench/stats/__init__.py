"""Statistics of scores: intervals, paired tests, corrections, ranks."""
