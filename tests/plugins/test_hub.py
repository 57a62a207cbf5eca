from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from groupbench.cards.card import load_card
from groupbench.errors import CardError, DataError
from groupbench.task import Example, Split
from groupbench_hub.hooks import groupbench_register_loaders
from groupbench_hub.loader import HubLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

datasets = pytest.importorskip("datasets", reason="the extra 'hub' is not installed")

SPLITS = ("train", "validation", "test")
LOADERS = {"hub": HubLoader}
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf-cache"))
    for name in ("GROUPBENCH_OFFLINE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def make(folder: Path, source: dict[str, Any], card: str = "") -> Path:
    """Write the card of a task whose rows the hub loader gives."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{key} = {toml(value)}" for key, value in ({"loader": "hub"} | source).items()]
    (folder / "card.toml").write_text(
        'name = "mood"\nkind = "single"\nlabels = ["bad", "good"]\nmetrics = ["accuracy"]\n'
        + card
        + "\n[source]\n"
        + "\n".join(lines)
        + "\n"
    )
    return folder


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def save(path: Path, columns: dict[str, list[Any]], features: object = None) -> None:
    """Write a data file as its owner would have, with ``datasets``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = datasets.Dataset.from_dict(columns, features=features)
    {"parquet": data.to_parquet, "jsonl": data.to_json, "csv": data.to_csv}[path.suffix[1:]](path)


def examples(folder: Path, split: Split = Split.TEST) -> tuple[Example, ...]:
    return load_card(folder).task(LOADERS).examples(split)


def said(action: Callable[[], object]) -> str:
    with pytest.raises((CardError, DataError)) as error:
        action()
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_a_folder_of_files_loads_and_texts_like_null_stay_texts(form: str, tmp_path: Path) -> None:
    texts = ["null", "NA", "None", 'say "hi"', "zwei\nZeilen", "ünï"]
    labels = ["good", "bad"] * 3
    for split in SPLITS:
        save(tmp_path / "data" / f"{split}.{form}", {"text": texts, "label": labels})

    found = examples(make(tmp_path, {"id": "./data"}))

    assert found == tuple(Example(f"test-{i}", text, i % 2 == 0) for i, text in enumerate(texts))


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    folder = make(tmp_path, {"id": "./d"})
    for text in ("before", "after!"):
        for split in SPLITS:
            save(tmp_path / "d" / f"{split}.jsonl", {"text": [text] * 2, "label": ["bad"] * 2})
        assert examples(folder)[0].input == text


def test_class_indices_become_names_whatever_the_order_of_the_card(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["good", "bad"])}
    )
    for split in SPLITS:
        save(tmp_path / f"d/{split}.parquet", {"text": ["a", "b"], "label": [0, 1]}, features)

    assert [e.gold for e in examples(make(tmp_path, {"id": "./d"}))] == [1, 0]


def test_lists_of_class_indices_become_lists_of_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "words": datasets.List(datasets.Value("string")),
            "ner": datasets.List(datasets.ClassLabel(names=["B-x", "O"])),
        }
    )
    columns: dict[str, list[Any]] = {
        "words": [["Ada", "ran"], ["We", "ran"]],
        "ner": [[0, 1], [1, 1]],
    }
    for split in SPLITS:
        save(tmp_path / f"d/{split}.parquet", columns, features)
    folder = make(tmp_path, {"id": "./d"})
    card = (folder / "card.toml").read_text()
    card = card.replace('"single"', '"token"').replace('["bad", "good"]', '["O", "B-x"]')
    columns_table = '\n[columns]\ntokens = "words"\ntags = "ner"\n'
    (folder / "card.toml").write_text(card + columns_table)

    assert examples(folder)[0] == Example("test-0", ("Ada", "ran"), (1, 0))


def test_hidden_labels_are_said_to_be_hidden(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["good", "bad"])}
    )
    for split in SPLITS:
        hidden = [-1, -1] if split == "test" else [0, 1]
        save(tmp_path / f"d/{split}.parquet", {"text": ["a", "b"], "label": hidden}, features)

    message = said(lambda: examples(make(tmp_path, {"id": "./d"})))

    assert message.endswith(
        "label = -1 is none of its 2 classes; the labels of this split are hidden, use another."
    )


def test_splits_can_have_other_names_and_be_slices(tmp_path: Path) -> None:
    rows = {"text": [f"t{i}" for i in range(10)], "label": ["good", "bad"] * 5}
    save(tmp_path / "d" / "train.jsonl", rows)
    save(tmp_path / "d" / "test.jsonl", rows)
    splits = {"train": "train[:60%]", "validation": "train[60%:]"}

    folder = make(tmp_path, {"id": "./d", "splits": splits})

    assert [e.input for e in examples(folder, Split.TRAIN)] == [f"t{i}" for i in range(6)]
    assert len(examples(folder, Split.DEV_A)) == len(examples(folder, Split.DEV_B)) == 2
    assert len(examples(folder)) == 10


def test_a_data_set_without_a_test_split_is_divided(tmp_path: Path) -> None:
    rows = {"text": [f"t{i}" for i in range(40)], "label": ["good", "bad"] * 20}
    save(tmp_path / "d" / "train.jsonl", rows)
    divide = "[divide]\ntrain = 0.5\nvalidation = 0.25\ntest = 0.25\n"

    folder = make(tmp_path, {"id": "./d"}, divide)
    assert len(examples(folder, Split.TRAIN)) == 20
    assert len(examples(folder)) == 10

    make(tmp_path, {"id": "./d", "splits": {"test": "train[:9]"}}, divide)
    assert "[source] splits names 'test', which [divide] cuts from train; keep one." in said(
        lambda: examples(folder)
    )


def two_configurations(folder: Path) -> None:
    for config in ("cats", "dogs"):
        for split in SPLITS:
            rows = {"text": [f"{config} a", f"{config} b"], "label": ["good", "bad"]}
            save(folder / config / f"{split}.jsonl", rows)
    configs = "".join(
        f"- config_name: {config}\n  data_files:\n"
        + "".join(f"  - split: {s}\n    path: {config}/{s}.jsonl\n" for s in SPLITS)
        for config in ("cats", "dogs")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")


def test_one_configuration_is_picked_and_several_are_put_together(tmp_path: Path) -> None:
    two_configurations(tmp_path / "d")
    source = {"id": "./d", "config": ["cats", "dogs"], "config_column": "animal"}
    columns = '\n[columns]\ntext_pair = "animal"\n'

    [first, _] = examples(make(tmp_path, {"id": "./d", "config": "dogs"}))
    folder = make(tmp_path, source)
    card = (folder / "card.toml").read_text().replace('"single"', '"pair"')
    (folder / "card.toml").write_text(card + columns)

    assert first.input == "dogs a"
    assert [e.input for e in examples(folder)] == [
        ("cats a", "cats"), ("cats b", "cats"), ("dogs a", "dogs"), ("dogs b", "dogs"),
    ]  # fmt: skip


def test_what_a_folder_lacks_is_said(tmp_path: Path) -> None:
    two_configurations(tmp_path / "d")
    (tmp_path / "empty").mkdir()

    def message(**source: object) -> str:
        return said(lambda: examples(make(tmp_path, source)))

    assert "BuilderConfig 'birds' not found. Available: ['cats', 'dogs']" in message(
        id="./d", config="birds"
    )
    assert 'Unknown split "dev"' in message(id="./d", config="cats", splits={"test": "dev"})
    assert "there is no such folder" in message(id="./absent")
    assert "empty" in message(id="./empty")
    assert "config_column = 'text' is a column already; name another." in message(
        id="./d", config="cats", config_column="text"
    )


def test_configurations_with_other_columns_are_not_put_together(tmp_path: Path) -> None:
    two_configurations(tmp_path / "d")
    for split in SPLITS:
        save(tmp_path / "d" / "dogs" / f"{split}.jsonl", {"txt": ["a"], "label": ["bad"]})

    folder = make(tmp_path, {"id": "./d", "config": ["cats", "dogs"]})

    assert "configurations have different columns" in said(lambda: examples(folder))


def test_a_wrong_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    for split in SPLITS:
        save(tmp_path / "d" / f"{split}.jsonl", {"Text": ["a"], "label": ["bad"]})

    message = said(lambda: examples(make(tmp_path, {"id": "./d"})))

    assert "there is no column 'text', only 'Text', 'label'. Did you mean 'Text'?" in message


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"id": "a/b"}, "revision = None must be a commit, 40 hexadecimal digits;"),
        ({"id": "a/b", "revision": "main"}, "revision = 'main' must be a commit"),
        ({"id": "a/b/c", "revision": OLD}, "id = 'a/b/c' is neither 'owner/name' on the hub nor"),
        ({"id": "./d", "revision": OLD}, "is for the hub; a folder has none."),
        ({"id": "./d", "config": []}, "config = [] is empty"),
        ({"id": "./d", "config_column": "c"}, "config_column = 'c' needs config."),
        ({"id": "./d", "splits": {"dev": "x"}}, "splits names 'dev'; our splits are train, valid"),
        ({"id": "../d"}, "[source] id = '../d' leaves the card's folder"),
        ({"id": "/etc"}, "[source] id = '/etc' leaves the card's folder"),
        ({"id": "./d", "trust_remote_code": True}, "no setting named 'trust_remote_code'"),
        ({"revision": OLD}, "missing required field `id`"),
    ],
)
def test_a_wrong_setting_is_said_when_the_card_is_read(
    source: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    card = load_card(make(tmp_path, source))

    message = said(lambda: card.task(LOADERS))

    assert message.startswith(f"{tmp_path}/card.toml: [source]")
    assert expected in message


def test_without_the_extra_the_mend_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    task = load_card(make(tmp_path, {"id": "a/b", "revision": OLD})).task(LOADERS)

    assert "pip install 'groupbench[hub]'" in said(lambda: task.data)


def test_a_folder_in_the_working_directory_is_not_taken_for_a_hub_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    message = said(HubLoader("a/b", revision=OLD))

    assert "is a hub data set, but ./a/b is here too and would be read instead" in message


def test_offline_a_data_set_that_is_not_cached_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROUPBENCH_OFFLINE", "1")

    message = said(HubLoader("groupbench-test/mood", revision=OLD))

    assert f"groupbench-test/mood: revision {OLD} is not in " in message
    assert "GROUPBENCH_OFFLINE forbids the network; load the task once without it" in message


def test_the_plugin_offers_the_loader() -> None:
    assert groupbench_register_loaders() == [HubLoader]


def test_the_plugin_imports_nothing_heavy() -> None:
    code = "import groupbench_hub.hooks, sys; print('datasets' in sys.modules)"

    assert run(code, {}) == "False\n"


def run(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FORMS = {"gb/mood": "jsonl", "gb/csv": "csv"}


class FakeHub(BaseHTTPRequestHandler):
    """What ``datasets`` asks of the hub, for data sets that have two revisions each."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def _file(self, owner: str, revision: str, name: str) -> bytes | None:
        label = {OLD: "bad", NEW: "good"}.get(revision)
        split, _, form = name.partition(".")
        if label is None or split not in SPLITS or form != FORMS[owner]:
            return None
        rows = [(f"{split} 0", label), ("null", label)]
        if form == "csv":
            return "".join(
                f"{text},{label}\n" for text, label in [("text", "label"), *rows]
            ).encode()
        lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
        return "".join(lines).encode()

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.asked.append(path)
        match path.removeprefix("api/").split("/"):
            case ["datasets", "gb", name, *rest] if f"gb/{name}" in FORMS:
                self.about(f"gb/{name}", rest)
            case _:
                self.send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def about(self, owner: str, rest: list[str]) -> None:
        files = [f"{split}.{FORMS[owner]}" for split in SPLITS]
        match rest:
            case [_, revision, *_] if revision not in (OLD, NEW):
                self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            case ["resolve", revision, name]:
                if (data := self._file(owner, revision, name)) is None:
                    self.send(
                        404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": revision}
                    )
                else:
                    etag = f'"{revision}{name}"'
                    self.send(200, data, {"ETag": etag, "X-Repo-Commit": revision})
            case ["revision", revision]:
                siblings = [{"rfilename": name} for name in files]
                info = {"_id": "1", "id": owner, "sha": revision, "siblings": siblings}
                self.send(200, json.dumps(info).encode())
            case ["tree" | "paths-info", revision, *_]:
                entries = [
                    {"type": "file", "path": name, "oid": f"{name}{revision}"}
                    | {"size": len(self._file(owner, revision, name) or b"")}
                    for name in files
                ]
                self.send(200, json.dumps(entries).encode())

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """The address of a hub on this machine, and what it was asked for."""
    FakeHub.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeHub) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", FakeHub.asked
        server.shutdown()
        thread.join()


READ = """
    import json
    from groupbench.errors import DataError
    from groupbench_hub.loader import HubLoader
    for wanted in ("mood a", "mood b", "csv a", "mood c", "none a"):
        name, revision = wanted.split()
        try:
            columns = HubLoader(f"gb/{name}", revision=revision * 40)()
            print(json.dumps([columns["test"]["text"], columns["test"]["label"]]))
        except DataError as problem:
            print(problem)
"""


def test_the_pinned_revision_is_read_from_the_hub_once_and_then_without_it(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = hub
    environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}

    online = run(READ, environment).splitlines()
    n_asked = len(asked)
    offline = run(READ, environment | {"GROUPBENCH_OFFLINE": "1"}).splitlines()

    assert n_asked > 0
    assert len(asked) == n_asked
    assert online[:3] == offline[:3]
    assert [json.loads(line) for line in online[:3]] == [
        [["test 0", "null"], ["bad", "bad"]],
        [["test 0", "null"], ["good", "good"]],
        [["test 0", "null"], ["bad", "bad"]],
    ]
    assert online[3].startswith("gb/mood: ")
    assert online[3].endswith(f"at revision {'c' * 40}.")
    assert "gb/none: Dataset 'gb/none' doesn't exist on the Hub or cannot be accessed" in online[4]
    for line, revision in zip(offline[3:], ("c", "a"), strict=True):
        assert f"revision {revision * 40} is not in " in line


KEPT = """
    import glob, os
    from pathlib import Path
    from groupbench.errors import DataError
    from groupbench_hub.loader import HubLoader
    loader = HubLoader("gb/mood", revision="a" * 40)
    first = {name: dict(columns) for name, columns in loader().items()}
    print({name: dict(columns) for name, columns in loader().items()} == first)
    home = Path(os.environ["HF_HOME"], "datasets", "groupbench")
    [kept] = home.iterdir()
    for path in kept.rglob("*.arrow"):
        path.write_bytes(b"damaged")
    try:
        loader()
    except DataError as problem:
        print(problem)
"""


def test_damaged_kept_rows_are_named_and_nothing_else_is_left_behind(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    environment = {"HF_ENDPOINT": hub[0], "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}

    same, damaged = run(KEPT, environment).splitlines()

    assert same == "True"
    assert damaged.startswith(f"gb/mood: {tmp_path}/hf/datasets/groupbench/")
    assert damaged.endswith("; remove it and load again.")
