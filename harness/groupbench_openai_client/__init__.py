"""The client that runners of OpenAI's API, and of servers which speak like it, share.

It is the official SDK behind `groupbench.llm.client.Client`, and no plugin: it stands between the
engine, which never imports ``openai``, and plugins, which never import each other. So there is one
code path to the network to harden. Its own package lets import-linter hold both rules.
"""
