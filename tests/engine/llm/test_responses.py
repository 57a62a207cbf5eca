"""The response store."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.canonical import canonical
from groupbench.errors import StoreError
from groupbench.llm.responses import Answer, ResponseStore, Served, default_path, response_key
from groupbench.task import Kind

if TYPE_CHECKING:
    from pathlib import Path

SERVED = Served("vllm", "f00d", adapter="beef", details={"version": "0.32.0", "dtype": "bfloat16"})
BODY: dict[str, Any] = {"model": "m", "prompt": [[1, 2]], "temperature": 0, "n": 1}
ANSWER = Answer(
    {"model": "m", "choices": [{"text": "ja\u2028é\ud800"}], "usage": {"prompt_tokens": 2}},
    "m",
    "fp",
    {"x-request-id": "r"},
    0.25,
    "2026-11-20T12:00:00+00:00",
)


def key(served: Served = SERVED, path: str = "/completions", sample: int = 0, **more: Any) -> str:
    return response_key(served, path, BODY | more, sample)


def test_all_that_may_change_an_answer_is_in_its_key() -> None:
    others = [
        key(replace(SERVED, provider="openai")),
        key(replace(SERVED, model="d00f")),
        key(replace(SERVED, adapter="")),
        key(replace(SERVED, details={"version": "0.33.0", "dtype": "bfloat16"})),
        key(path="/chat/completions"),
        key(sample=1),
        key(model="m2"),
        key(temperature=1),
        key(prompt=[[1, 3]]),
        key(logprobs=1),
    ]
    assert len({key(), *others}) == 1 + len(others)


def test_what_does_not_change_an_answer_is_not_in_its_key() -> None:
    assert key() == key(stream=False) == key(user="u") == key(cache_salt="s")
    turned = dict(reversed(BODY.items()))
    assert response_key(SERVED, "/completions", turned) == key()


def test_a_key_is_the_hash_of_these_bytes_so_that_older_answers_are_found() -> None:
    text = (
        '{"adapter":"beef","body":{"model":"m","n":1,"prompt":[[1,2]],"temperature":0},'
        '"details":{"dtype":"bfloat16","version":"0.32.0"},"endpoint":"/completions","format":1,'
        '"model":"f00d","provider":"vllm","sample":0}'
    )
    assert key() == hashlib.sha256(text.encode()).hexdigest()


# What a body may hold: JSON, and what `to_json` makes JSON of.
PLAIN = st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ODD = st.builds(PurePosixPath, st.text("ab/.", max_size=4)) | st.sampled_from(Kind)
ODD |= (
    NUMBERS.map(np.float64) | st.integers(0, 9).map(np.int32) | st.sets(st.integers(), max_size=3)
)
NAMES = st.text(st.characters(), max_size=6)


def nested(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    listed = st.lists(values, max_size=4)
    named = st.dictionaries(NAMES, values, max_size=4)
    return listed | listed.map(tuple) | named | named.map(MappingProxyType)


VALUES = st.recursive(PLAIN | NUMBERS | ODD, nested, max_leaves=20)
BODIES = st.dictionaries(
    NAMES | st.sampled_from(["stream", "user", "cache_salt", "prompt"]),
    VALUES | st.lists(st.lists(st.integers(0, 128_000), max_size=20), max_size=3),
    max_size=6,
)


@settings(deadline=None)
@given(BODIES, st.dictionaries(NAMES, VALUES, max_size=3), NAMES, st.integers(0, 3))
def test_the_quick_way_to_a_key_is_the_canonical_one(
    body: dict[str, Any], details: dict[str, Any], model: str, sample: int
) -> None:
    served = Served("any", model, adapter=model[:1], details=details)
    deciding = {n: v for n, v in body.items() if n not in {"stream", "user", "cache_salt"}}
    whole = {
        "format": 1,
        "provider": "any",
        "model": model,
        "adapter": model[:1],
        "details": details,
        "endpoint": "/completions",
        "body": deciding,
        "sample": sample,
    }
    expected = hashlib.sha256(canonical(whole)).hexdigest()
    assert response_key(served, "/completions", body, sample) == expected
    again = json.loads(canonical(body).decode("utf-8", "surrogatepass"))
    assert response_key(served, "/completions", again, sample) == expected


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), np.float32("nan"), object()])
def test_what_has_no_canonical_form_has_no_key(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical({"body": value})
    with pytest.raises(ValueError, match=r"."):
        key(top_p=value)


def test_an_answer_comes_back_as_it_was_and_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "r.sqlite"
    with ResponseStore(path) as store:
        assert store.get("k") is None
        assert store.put("k", ANSWER) == ANSWER
        assert store.get("k") == replace(ANSWER, replayed=True)
    with ResponseStore(path) as store:
        assert store.get("k") == replace(ANSWER, replayed=True)
        assert len(store) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_store_that_is_only_looked_into_says_what_it_holds_while_others_write(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a ?#%20 name" / "r.sqlite"
    with pytest.raises(StoreError, match="cannot be used"):
        ResponseStore(path, read_only=True)
    assert not path.parent.exists()
    with ResponseStore(path) as store, ResponseStore(path, read_only=True) as looking:
        assert not looking.holds("k")
        store.put("k", ANSWER)
        assert looking.holds("k")
        assert looking.get("k") == replace(ANSWER, replayed=True)
        with pytest.raises(StoreError, match="readonly"):
            looking.put("other", ANSWER)


def test_the_first_of_two_writers_wins_and_the_second_uses_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    other = replace(ANSWER, reply={"model": "m", "choices": []})
    with ResponseStore(path) as one, ResponseStore(path) as two:
        one.put("k", ANSWER)
        assert two.put("k", other) == ANSWER
        assert two.get("k") == replace(ANSWER, replayed=True)


def test_several_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    code = (
        "import sys; from pathlib import Path\n"
        "from groupbench.llm.responses import Answer, ResponseStore\n"
        "with ResponseStore(Path(sys.argv[1])) as store:\n"
        "    for i in range(200):\n"
        "        store.put(f'{sys.argv[2]}-{i}', Answer({'i': i}, 'm'))\n"
        "        store.put(f'same-{i}', Answer({'i': i}, 'm'))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(i)], stderr=subprocess.PIPE)
        for i in range(3)
    ]
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], said
    with ResponseStore(path) as store:
        assert len(store) == 4 * 200
        found = store.get("2-199")
    assert found is not None
    assert found.reply == {"i": 199}


def test_a_file_that_is_no_store_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    path.write_bytes(b"these are my notes" * 100)
    with pytest.raises(StoreError, match=r"r\.sqlite are damaged .*restore the file or move it aw"):
        ResponseStore(path)
    assert path.read_bytes() == b"these are my notes" * 100


def test_a_damaged_page_is_one_clear_message(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with ResponseStore(path) as store:
        for i in range(300):
            store.put(f"{i:03}", replace(ANSWER, reply={"x": "y" * 500}))
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(1 << 12) * ((len(data) - 4096) // 4096)
    path.write_bytes(data)

    def read_all() -> list[Answer | None]:
        with ResponseStore(path) as store:
            return [store.get(f"{i:03}") for i in range(300)]

    with pytest.raises(StoreError, match="are damaged"):
        read_all()


def test_a_row_that_holds_no_json_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with ResponseStore(path) as store:
        store.put("k", ANSWER)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET reply = '{\"cut'")
    db.close()
    with ResponseStore(path) as store, pytest.raises(StoreError, match="the row k is no JSON"):
        store.get("k")


def test_a_store_of_a_newer_groupbench_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    ResponseStore(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StoreError, match=r"newer groupbench \(format 9\): update this one"):
        ResponseStore(path)


def test_a_place_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "r.sqlite", tmp_path / "folder"):
        with pytest.raises(StoreError, match="cannot be used") as refused:
            ResponseStore(path)
        assert str(path) in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_store_that_cannot_be_written_says_so_before_anything_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    ResponseStore(path).close()
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be used"):
            ResponseStore(path)
    finally:
        tmp_path.chmod(0o700)


def test_responses_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path))
    assert default_path().parent.parent == tmp_path
