"""``groupbench prompt``: what is sent, to the token, without weights or torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from llamas import TOKENIZERS, write_without_weights
from sites import write_tasks

from groupbench.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models without weights that could be loaded: only the tokenizers are there."""
    return {
        manner: write_without_weights(tmp_path_factory.mktemp(manner), manner)
        for manner in TOKENIZERS
    }


@pytest.fixture
def show(tmp_path: Path) -> Callable[..., Result]:
    from click.testing import CliRunner

    cards = write_tasks(tmp_path / "cards", ["alpha"], n=12)

    def show(runner: object, *arguments: str, task: str = "alpha") -> Result:
        given = ["prompt", task, "--tasks-dir", str(cards), "--runner", str(runner), *arguments]
        return CliRunner().invoke(main, given)

    return show


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("manner", TOKENIZERS)
def test_the_document_holds_the_text_and_every_token_of_it(
    models: dict[str, Path], show: Callable[..., Result], manner: str
) -> None:
    shown = document(show(f"hf-lm:model={models[manner]},shots=2", "--json"))
    tokenizer = TOKENIZERS[manner]()
    assert shown["schema"] == "groupbench/prompt/1"
    assert (shown["mode"], shown["split"], shown["example"]) == ("score", "test", "test-0")
    assert len(shown["shots"]) == 2
    (question,) = shown["questions"]
    ids = [token["id"] for token in question["tokens"]]
    assert ids == tokenizer(question["text"], add_special_tokens=False).input_ids
    assert ids.count(tokenizer.bos_token_id) == (1 if manner == "llama3" else 3)
    assert shown["n_tokens"] == len(ids)
    spelt = tokenizer.convert_ids_to_tokens(ids)
    assert [token["token"] for token in question["tokens"]] == spelt
    assert "alpha test item 0" in question["text"]
    for label, tokens in question["continuations"].items():
        whole = question["text"] + question["choices"][label]
        found = tokenizer(whole, add_special_tokens=False).input_ids
        assert [*ids, *(token["id"] for token in tokens)] == found


def test_the_screen_shows_the_same_unwrapped(
    models: dict[str, Path], show: Callable[..., Result]
) -> None:
    runner = f"hf-lm:model={models['llama3']}"
    result = show(runner, "--example", "dev-1", "--split", "dev-b")
    assert result.exit_code == 2
    asked = document(show(runner, "--split", "dev-b", "--json"))
    result = show(runner, "--split", "dev-b", "--example", asked["example"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"alpha, {runner}, example {asked['example']} of dev-b, seed 0"
    start = next(i for i, line in enumerate(lines) if line.startswith("--- prompt"))
    end = lines.index("---", start)
    assert "\n".join(lines[start + 1 : end]) == asked["questions"][0]["text"]
    assert "shots      none" in lines
    assert "cut        nothing" in lines
    tokens = next(line for line in lines[end:] if line.startswith("tokens"))
    assert tokens.split()[1:] == [
        f"{token['id']}:{token['token']}" for token in asked["questions"][0]["tokens"]
    ]
    (yes,) = [line for line in lines[end:] if line.startswith("label      yes")]
    assert yes.startswith("label      yes = 'yes': ")


def test_text_mode_shows_cap_and_stop_and_what_was_cut(
    models: dict[str, Path], show: Callable[..., Result]
) -> None:
    runner = f"hf-lm:model={models['llama2']},mode=text,template=plain,shots=4,max_length=160"
    shown = document(show(runner, "--json"))
    assert shown["stop"] == ["\n\n"]
    assert shown["shots_dropped"] == 4 - len(shown["shots"]) > 0
    assert shown["n_tokens"] + shown["max_tokens"] < 160
    text = show(runner).stdout
    assert f"answer     {shown['max_tokens']} tokens at most, ends at '\\n\\n'" in text
    assert f"{shown['shots_dropped']} shots dropped" in text
    tight = show(runner.replace("160", "110")).stdout
    assert "shots      none (4 asked for)" in tight  # none takes less than a quarter of the room
    none = show(f"hf-lm:model={models['llama2']},max_length=20").stdout
    assert "cut        given up: prompt_too_long" in none


def test_seeds_draw_other_shots(models: dict[str, Path], show: Callable[..., Result]) -> None:
    runner = f"hf-lm:model={models['llama3']},shots=4"
    drawn = [document(show(runner, "--json", "--seed", seed))["shots"] for seed in "001234"]
    assert drawn[0] == drawn[1]
    assert len({tuple(shots) for shots in drawn}) > 1
    few = document(show(runner, "--json", "--max-train", "3"))
    assert len(few["shots"]) == 3


def test_terminal_codes_in_a_text_are_shown_and_not_obeyed(
    models: dict[str, Path], show: Callable[..., Result], tmp_path: Path
) -> None:
    rows = [{"text": "red \u001b[31m alert", "label": "no"}]
    (tmp_path / "cards/alpha/test.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    result = show(f"hf-lm:model={models['llama3']}")
    assert "\x1b" not in result.stdout
    assert "red \\x1b[31m alert" in result.stdout


@pytest.mark.parametrize(
    ("runner", "arguments", "message"),
    [
        ("majority", [], "runner = 'majority' sends no prompts; name one that asks a language"),
        ("MODEL", ["--example", "test-99"], "No example of alpha's test named 'test-99'."),
        ("MODEL,mode=jsn", [], "Invalid enum value 'jsn'"),
        ("hf-lm", [], "model is empty: name a folder or a hub id"),
        ("hf-lm:model=/no/such", [], "/no/such is not there; name the folder that holds"),
        ("MODEL,shots=40", [], "shots = 40 is not one of 0 to 32"),
    ],
)
def test_mistakes_are_said_in_a_line(
    models: dict[str, Path],
    show: Callable[..., Result],
    runner: str,
    arguments: list[str],
    message: str,
) -> None:
    result = show(runner.replace("MODEL", f"hf-lm:model={models['llama3']}"), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_unknown_task_suggests_the_nearest(
    models: dict[str, Path], show: Callable[..., Result]
) -> None:
    result = show(f"hf-lm:model={models['llama3']}", task="alhpa")
    assert result.exit_code == 2
    assert "Did you mean 'alpha'?" in result.stderr
