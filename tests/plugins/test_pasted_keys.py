"""A key that somebody writes where settings stand is refused, and repeated nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from sites import write_tasks

from groupbench.cli import main
from groupbench.llm.secrets import demand_variable

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
NO_SETTING = "A key itself is no setting: put it in the environment and name its variable."
NO_NAME = "Keys are no settings: they come from the environment."


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("openai:model=gpt-4.1,key_variable=KEY", NO_SETTING),
        ("vllm:url=http://127.0.0.1:9/v1,key_variable=KEY", NO_SETTING),
        ("openai:model=gpt-4.1,api_key=KEY", NO_NAME),
        ("openai:model=gpt-4.1,token=KEY", NO_NAME),
        ("vllm:url=http://127.0.0.1:9/v1,api_key=KEY", NO_NAME),
        ("hf-lm:model=x,hf_token=KEY", NO_NAME),
    ],
)
@pytest.mark.parametrize("command", ["run", "prompt", "file"])
def test_a_key_among_the_settings_is_refused_and_not_repeated(
    tmp_path: Path, settings: str, words: str, command: str
) -> None:
    tasks = ["--tasks-dir", str(write_tasks(tmp_path / "cards", ["alpha"], n=4))]
    spec = settings.replace("KEY", KEY)
    if command == "file":
        name, _, rest = spec.partition(":")
        lines = ['tasks = ["alpha"]', "[[runner]]", f'name = "{name}"']
        for part in rest.split(","):
            key, _, value = part.partition("=")
            lines.append(f'{key} = "{value}"')
        file = tmp_path / "experiment.toml"
        file.write_text("\n".join(lines), encoding="utf-8")
        given = ["run", str(file), *tasks]
    elif command == "run":
        given = ["run", "--task", "alpha", *tasks, "--runner", spec]
    else:
        given = ["prompt", "alpha", *tasks, "--runner", spec]
    if command != "prompt":
        given += ["--store", str(tmp_path / "store")]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert KEY not in done.output + done.stderr
    assert not (tmp_path / "store").exists() or not any((tmp_path / "store").rglob("*.json"))


@pytest.mark.parametrize("name", ["", "OPENAI_API_KEY", "_KEY", "my_key2"])
def test_a_name_of_a_variable_is_one(name: str) -> None:
    demand_variable("key_variable", name)


@pytest.mark.parametrize("name", [KEY, "MY KEY", "2KEY", "KEY=x", "SCHLÜSSEL"])
def test_what_names_no_variable_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="key_variable must be the name of an env") as refused:
        demand_variable("key_variable", name)
    assert name not in str(refused.value)
