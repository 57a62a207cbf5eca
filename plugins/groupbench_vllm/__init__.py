"""Language models behind a vLLM server: Llama 2, Llama 3 and any other that vLLM serves.

The runner ``vllm`` starts a server in an environment of its own, or attaches to one by its URL. It
believes no server before it is probed, and scores labels by reading the log-probabilities of their
tokens after the prompt, which the prefix cache makes cheap. vLLM is by Kwon et al., "Efficient
Memory Management for Large Language Model Serving with PagedAttention" (SOSP 2023).
"""
