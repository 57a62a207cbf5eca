"""Batch files as vLLM's own batch runner reads and answers them: a provider's does the same."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from prompting import an_example, make_task

from groupbench.llm import Mode, PromptBuilder, Wording
from groupbench.llm.chat import MessagesForm
from groupbench.llm.replies import read_reply
from groupbench.llm.requests import Request
from groupbench.llm.responses import Served, response_key
from groupbench.llm.schemas import answer_schema
from groupbench.llm.vllm_installation import Installation
from groupbench.llm.vllm_server import VllmSettings
from groupbench.task import Kind
from groupbench_openai.batch_file import line_of, replies_of

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.canonical import Json

ENTRY = "vllm.entrypoints.launchers.run_batch"


def requests(model: str) -> dict[str, Request]:
    """Return chat requests by key: free text, JSON by schema, and one that is too long."""
    task = make_task(Kind.SINGLE)
    wording = Wording.of(task)
    builder = PromptBuilder(task, wording, Mode.TEXT, MessagesForm(), limit=100_000)
    schema: Json = {"name": "answer", "schema": dict(answer_schema(wording)), "strict": True}
    examples = [an_example(Kind.SINGLE, i) for i in range(4)]
    long = type(examples[0])("long", "The film was good. " * 2000, None)
    found = {}
    for i, example in enumerate([*examples, long]):
        (question,) = builder.build(example).questions
        body: dict[str, Json] = {
            "model": model,
            "messages": [dict(message) for message in question.messages or ()],
            "max_completion_tokens": 24,
            "temperature": 0,
        }
        if i == 1:
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        request = Request("/chat/completions", body, tag=example.id)
        found[response_key(Served("vllm", model), request.path, body, 0)] = request
    return found


@pytest.mark.timeout(900)
def test_a_batch_file_is_read_and_every_line_comes_back_under_its_key(
    tmp_path: Path, llama3: Path
) -> None:
    settings = VllmSettings(llama3, "tiny", dtype="float32", max_model_len=1024)
    vllm = Installation.of()
    asked = requests("tiny")
    given, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    given.write_bytes(b"".join(line_of(key, request) for key, request in asked.items()))
    done = subprocess.run(
        [
            *(vllm.python, "-m", ENTRY, "-i", str(given), "-o", str(out)),
            *("--model", str(llama3), "--served-model-name", "tiny", "--dtype", "float32"),
            *("--max-model-len", "1024", "--enforce-eager", "--generation-config", "vllm"),
        ],
        env={**os.environ, **settings.environment(vllm, "none", tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    replies = dict(replies_of(out.read_text(encoding="utf-8")))
    assert set(replies) == set(asked)
    by_tag = {asked[key].tag: (asked[key], reply) for key, reply in replies.items()}
    _, refused = by_tag.pop("long")
    assert refused.status != 200
    for request, reply in by_tag.values():
        found = read_reply(reply, request.body)
        assert isinstance(found, dict), found
        assert found["model"] == "tiny"
        assert found["usage"]["completion_tokens"] > 0
        text = found["choices"][0]["message"]["content"]
        if "response_format" in request.body:
            assert set(json.loads(text)) == {"label"}
