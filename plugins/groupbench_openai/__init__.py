"""OpenAI's models, the GPT-4 family and later ones, and any endpoint that speaks like OpenAI's API.

The runner ``openai`` prompts a model by Chat Completions. What OpenAI's own models can do is data
(`groupbench_openai.presets`); any other endpoint is probed before it is believed. It sends text to
a provider, so no task that is not open reaches it unless the experiment names the pair.
"""
