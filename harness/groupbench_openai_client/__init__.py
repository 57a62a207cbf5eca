"""The client that runners of OpenAI's API, and of servers which speak like it, share.

It is the official SDK behind `groupbench.llm.client.Client`, or aiohttp to servers on this machine,
and no plugin: it stands between the engine, which never imports either, and plugins, which never
import each other. So the code that reaches the network is in one place. Its own package lets
import-linter hold both rules.
"""
