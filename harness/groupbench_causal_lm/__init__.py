"""Causal language models in this process, with plain transformers: loading, label reads, text.

What runners that compute with such a model share, behind `groupbench.llm.Model`. It is no plugin:
it stands between the engine, which never imports torch, and plugins, which never import each other.
"""
