"""Language models in this process, with plain transformers: the runner ``hf-lm``.

No server, no batching over time, no constrained decoding: for small models, and as the numerical
reference of runners that talk to a server. Prompts and reading are `groupbench.llm`'s, and
`groupbench_causal_lm` computes.
"""
