"""Metrics over fixed labels, each also an `evaluate` module; and metrics from the hub, if allowed.

Accuracy, F1 in its averages and Matthews correlation follow scikit-learn's definitions, entity
spans those of conlleval (Tjong Kim Sang and Buchholz, CoNLL-2000) and seqeval.

- `groupbench_metrics.functions`: the metrics as plain functions over arrays.
- `groupbench_metrics.adapter.as_evaluate`: a metric as an `evaluate` module that works offline.
- `groupbench_metrics.hub`: ``hub:evaluate-metric/rouge@<commit>`` in a card.
"""
