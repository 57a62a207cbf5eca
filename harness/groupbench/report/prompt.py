"""A prompt document on screen: what was chosen, the text as it is sent, its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.report.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def prompt_text(document: Mapping[str, Any]) -> str:
    """Return a ``prompt`` document as lines, none of them wrapped: what is sent is to be seen."""
    return "\n".join(plain(line) for part in _lines(document) for line in part.split("\n"))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{document['task']}, {document['runner']}, example {document['example']} of"
        f" {document['split']}, seed {document['seed']}"
    )
    yield f"mode       {document['mode']}"
    yield f"form       {document['form']}"
    yield f"tokens     {document['n_tokens']} sent, {document['limit']} with the answer at most"
    if document["mode"] != "score":
        ends = "".join(f", ends at {stop!r}" for stop in document["stop"])
        yield f"answer     {document['max_tokens']} tokens at most{ends}"
    fewer = len(document["shots"]) + document["shots_dropped"] < document["shots_asked"]
    asked = f" ({document['shots_asked']} asked for)" if fewer else ""
    yield f"shots      {', '.join(document['shots']) or 'none'}{asked}"
    yield f"cut        {_cut(document)}"
    if document["answer_schema"] is not None:
        import json

        yield f"schema     {json.dumps(document['answer_schema'], ensure_ascii=False)}"
    questions = document["questions"]
    for i, question in enumerate(questions):
        yield ""
        which = f" {i + 1} of {len(questions)}: {question['label']}" if len(questions) > 1 else ""
        yield f"--- prompt{which} ({question['n_tokens']} tokens)"
        yield question["text"]
        yield "---"
        if question["tokens"] is not None:
            yield f"tokens     {_tokens(question['tokens'])}"
        for label, tokens in question["continuations"].items():
            yield f"label      {label} = {question['choices'][label]!r}: {_tokens(tokens)}"
        if not question["continuations"]:
            for label, choice in question["choices"].items():
                yield f"label      {label} = {choice!r}"


def _cut(document: Mapping[str, Any]) -> str:
    if document["given_up"]:
        return f"given up: {document['given_up']}"
    parts = []
    if document["shots_dropped"]:
        parts.append(f"{document['shots_dropped']} shots dropped")
    if document["words_dropped"]:
        parts.append(f"{document['words_dropped']} words off the end of the input")
    return ", ".join(parts) or "nothing"


def _tokens(tokens: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(f"{token['id']}:{token['token']}" for token in tokens)
