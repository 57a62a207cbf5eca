"""The pages on language models: their experiments are read, and what they quote is what is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from groupbench.llm.presets import PRESETS
from groupbench_openai.presets import PRESETS as OPENAI

if TYPE_CHECKING:
    from sites import Site

DOCS = Path(__file__).parents[2] / "docs"


def block(page: str, language: str, *, holds: str = "") -> str:
    """Return the first code block of a language that holds a text."""
    found = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    return str(next(text for text in found if holds in text))


def words(text: str) -> list[str]:
    return text.split()


def dry_run(site: Site, page: str, name: str) -> str:
    (site.folder / name).write_text(block(page, "toml", holds="schema ="), encoding="utf-8")
    done = site.groupbench("run", name, "--dry-run", OPENAI_API_KEY="", GROUPBENCH_VLLM_PYTHON="")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_quoted_estimate_is_what_a_dry_run_says(site: Site) -> None:
    said = " ".join(words(dry_run(site, "gpt-4.md", "gpt.toml")))
    quoted = block("gpt-4.md", "text", holds="--dry-run").partition("\n")[2]
    for part in quoted.split("...\n"):
        assert " ".join(words(part)) in said


def test_the_llama_experiment_says_what_is_missing_here(site: Site) -> None:
    said = " ".join(words(dry_run(site, "llama-on-one-gpu.md", "llama.toml")))
    assert "skipped: vllm:model=llama3-8b,shots=4: " in said
    assert "skipped: single/lora:model=llama3.2-1b: " in said
    assert "all/lora" not in said


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_names_every_preset(name: str) -> None:
    page = (DOCS / "llama-on-one-gpu.md").read_text("utf-8")
    assert f"`{name}`" in page
    assert f"{PRESETS[name].weights_gb:g}" in page


@pytest.mark.parametrize("name", OPENAI)
def test_the_page_names_every_model_of_openai(name: str) -> None:
    assert f"`{name}`" in (DOCS / "gpt-4.md").read_text("utf-8")
