from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pretended_vllm import DIES, NOTES, SEEN, pretend
from pretending import KEY, PretendingServer
from sites import Site, write_tasks

from groupbench.keys import RunnerIdentity
from groupbench_vllm.runner import VllmRunner

pytest.importorskip("openai")
pytest.importorskip("torch")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from llamas import build_llama

    return build_llama(tmp_path_factory.mktemp("models") / "llama3", "llama3")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return pretend(tmp_path)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "cards", ["alpha", "beta"], n=6)


def run(site: Site, tasks: Path, runner: str, *more: str, **environment: Any) -> Any:
    support = str(Path(__file__).parents[2] / "support")
    site.paths.append(Path(support))
    return site.groupbench(
        "run", "--tasks-dir", tasks, "--task", "alpha", "--task", "beta", "--grouping", "single",
        "--runner", runner, *more,
        **environment,
    )  # fmt: skip


def test_a_run_starts_one_server_asks_it_and_stops_it(
    site: Site, tasks: Path, llama: Path, python: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    cache = tmp_path / "cache"
    spec = f"vllm:model={llama},python={python}"
    told = {
        NOTES: str(notes),
        "GROUPBENCH_CACHE": str(cache),
        "OPENAI_API_KEY": "sk-of-the-user",
    }
    done = run(site, tasks, spec, **told)
    assert done.returncode == 0, done.stderr
    assert "vllm:model=" in done.stdout
    (start,) = [json.loads(line) for line in notes.read_text().splitlines()]
    arguments, environment = start
    assert arguments[:2] == ["-m", "vllm.entrypoints.launchers.api_server.entry"]
    assert "--enforce-eager" in arguments
    key = environment["VLLM_API_KEY"]
    assert len(key) > 30
    assert key not in " ".join(arguments)
    assert "OPENAI_API_KEY" not in environment
    assert environment["HF_HUB_OFFLINE"] == "1"
    metadata = Path(environment["PYTHONPATH"])
    assert not metadata.exists(), "it lies in a folder that goes with the run"
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != notes]
    assert not [path for path in written if key.encode() in path.read_bytes()]

    again = run(site, tasks, spec, PYTHONPROFILEIMPORTTIME="1", **told)
    assert again.returncode == 0
    assert len(notes.read_text().splitlines()) == 1, "a cached run starts no server"
    lines = [line for line in again.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "groupbench_vllm" in imported
    assert not imported & {"torch", "transformers", "tokenizers", "openai", "vllm"}


def tokens_as_text(llama: Path, line: str) -> str:
    """Return the first prompt of a request, as text."""
    from transformers import AutoTokenizer

    prompt = json.loads(line)[1].get("prompt", [""])[0]
    return (
        prompt if isinstance(prompt, str) else AutoTokenizer.from_pretrained(llama).decode(prompt)
    )


def test_a_server_that_dies_is_started_again_and_what_was_answered_is_not_asked_again(
    site: Site, tasks: Path, llama: Path, python: Path, tmp_path: Path
) -> None:
    dies, notes, seen = tmp_path / "dies", tmp_path / "notes", tmp_path / "seen"
    dies.write_text("24")  # the probe takes 14, /tokenize 3
    told = {
        NOTES: str(notes),
        DIES: str(dies),
        SEEN: str(seen),
        "GROUPBENCH_CACHE": str(tmp_path / "cache"),
    }
    done = run(site, tasks, f"vllm:model={llama},python={python},concurrency=1", "--json", **told)
    assert done.returncode == 0, done.stderr
    assert len(notes.read_text().splitlines()) == 2
    lines = seen.read_text().splitlines()
    read = [line for line in lines if "item" in tokens_as_text(llama, line)]
    assert len(read) == 12, "each test example was asked about"
    assert len(set(read)) == 12, "and none of them twice"


def test_it_attaches_to_a_url_and_the_place_is_an_endpoint(
    site: Site, tasks: Path, llama: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(llama))
    told = {"STUB_KEY": KEY, "GROUPBENCH_CACHE": str(tmp_path / "cache")}
    with PretendingServer(tokenizer=tokenizer) as server:
        settings = f"url={server.url},served_as=tiny-1,key_variable=STUB_KEY,model={llama}"
        done = run(site, tasks, f"vllm:{settings}", **told)
        assert done.returncode == 0, done.stderr
        reads = [body for path, body in server.seen if "logprob_token_ids" in body]
    assert len(reads) == 1 + 12 + 1, "the probe's, each test example's, and the null prompt's"
    assert all(isinstance(ids, list) for body in reads for ids in body["prompt"])
    assert KEY not in done.stdout + done.stderr


def test_a_server_that_tokenises_otherwise_is_refused(
    site: Site, tasks: Path, llama: Path, tmp_path: Path
) -> None:
    from llamas import llama2_tokenizer

    told = {"STUB_KEY": KEY, "GROUPBENCH_CACHE": str(tmp_path / "cache")}
    with PretendingServer(tokenizer=llama2_tokenizer()) as server:
        settings = f"url={server.url},served_as=tiny-1,key_variable=STUB_KEY,model={llama}"
        done = run(site, tasks, f"vllm:{settings}", **told)
    assert "its model is another one" in done.stdout + done.stderr


def test_what_ignores_all_but_messages_is_asked_for_text(
    site: Site, tasks: Path, tmp_path: Path
) -> None:
    ignored = {"structured_outputs", "response_format", "logprobs", "logprob_token_ids"}
    told = {"STUB_KEY": KEY, "GROUPBENCH_CACHE": str(tmp_path / "cache")}
    with PretendingServer(ignores=frozenset(ignored), refuses=frozenset({"prompt"})) as server:
        settings = f"url={server.url},served_as=tiny-1,key_variable=STUB_KEY"
        done = run(site, tasks, f"vllm:{settings}", **told)
        asked = [path for path, body in server.seen if "item" in json.dumps(body)]
    assert done.returncode == 0, done.stderr
    assert asked == ["/v1/chat/completions"] * 12


@pytest.mark.parametrize("by_characters", [False, True])
def test_how_choices_are_spelt_is_recorded_and_warned_about_where_it_is_odd(
    site: Site, tasks: Path, llama: Path, tmp_path: Path, by_characters: bool
) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(llama))
    told = {"STUB_KEY": KEY, "GROUPBENCH_CACHE": str(tmp_path / "cache")}
    store = tmp_path / "store"
    with PretendingServer(tokenizer=tokenizer, by_characters=by_characters) as server:
        settings = f"url={server.url},served_as=tiny-1,key_variable=STUB_KEY,model={llama}"
        done = run(site, tasks, f"vllm:{settings},mode=choice", "--store", str(store), **told)
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in store.glob("fits/*/*/result.json")]
    facts = {
        name: task["spelling"]
        for result in results
        for name, task in result["training"]["prompts"].items()
    }
    spelt = {"answers": 6, "canonical_share": 0.0 if by_characters else 1.0}
    assert facts == {"alpha": spelt, "beta": spelt}
    said = " ".join((done.stdout + done.stderr).split())
    assert ("only 0% of 6 chosen answers" in said) == by_characters


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("url=there", "is no URL such as http://host:8000/v1"),
        ('url="http://me:secret@h/v1"', "name a variable with key_variable"),
        ("served_as=x", "give url too"),
        ("concurrency=0", "concurrency = 0 must be at least 1"),
        ("gpu_memory_utilization=1.5", "must be above 0 and at most 1"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_mend(
    site: Site, tasks: Path, settings: str, words: str
) -> None:
    done = run(site, tasks, f"vllm:{settings}")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("python=/nowhere/python,model=x", "is no Python interpreter that runs"),
        ("model=x", "vLLM is not installed"),
    ],
)
def test_without_vllm_the_row_is_skipped_with_the_install_command(
    site: Site, tasks: Path, settings: str, words: str
) -> None:
    done = run(site, tasks, f"vllm:{settings}", "--runner", "majority")
    assert done.returncode == 0
    said = " ".join((done.stdout + done.stderr).split())
    assert words in said
    assert "pip install vllm" in said


def test_settings_that_decide_no_answer_are_in_no_key(llama: Path) -> None:
    def ingredients(**settings: Any) -> Any:
        return RunnerIdentity(VllmRunner(**{"model": str(llama), **settings})).ingredients

    here = ingredients(url="http://here:8000/v1")
    there = ingredients(
        url="http://there/v1", concurrency=3, key_variable="A_KEY", gpu_memory_utilization=0.5
    )
    assert here == there
    assert ingredients(url="http://here/v1", shots=2) != here
    # Where only the URL tells what answers, it decides.
    alone = [ingredients(model="", url=url) for url in ("http://here/v1", "http://there/v1")]
    assert alone[0] != alone[1]
