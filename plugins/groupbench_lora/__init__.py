"""Fine-tuned causal language models: the runner ``lora``, one low-rank adapter for each group.

A group's tasks are trained together by instructions (Wei et al., "Finetuned language models are
zero-shot learners", ICLR 2022, arXiv:2109.01652), each with its own, so that grouping strategies
apply to language models as they do to encoders. Adapters are those of Hu et al., "LoRA: Low-rank
adaptation of large language models" (ICLR 2022, arXiv:2106.09685), by peft. They answer in this
process, or behind one vLLM server that serves the adapters of all groups.
"""
