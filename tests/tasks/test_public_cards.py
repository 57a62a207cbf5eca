"""Cards of public and credentialed data: each parses, is listed for nothing, and loads for real."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fake_hub import Hub, serving

from groupbench.cards.card import TaskCard, load_card
from groupbench.cards.paths import find_cards
from groupbench.task import DataClass
from groupbench_hub.loader import EXPORT, HubLoader
from groupbench_tasks.hooks import CARDS
from groupbench_tasks.restricted.loader import Restricted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sites import Site

PATHS = find_cards(CARDS)
LOADERS: dict[str, type] = {"hub": HubLoader, "restricted": Restricted}
COMMIT, LATER = "c" * 40, "d" * 40


def cards(loader: str) -> list[TaskCard]:
    found = map(load_card, PATHS)
    return [card for card in found if card.source is not None and card.source["loader"] == loader]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.parent.name)
def test_every_card_is_whole_and_lies_where_its_name_and_domain_say(path: Path) -> None:
    card = load_card(path)
    task = card.task(LOADERS)

    assert path.parent.name == task.name
    assert path.parents[1].name == task.domain
    assert {"homepage", "licence", "citation", "official_split"} <= set(card.about)
    assert task.summary


def test_there_are_enough_of_every_domain_and_kind() -> None:
    public, restricted = cards("hub"), cards("restricted")

    assert len(public) >= 15
    assert {card.domain for card in public} == {"general", "biomedical", "clinical"}
    assert {str(card.kind) for card in public} == {"single", "pair", "multilabel", "token"}
    assert len(restricted) >= 3
    assert {card.data_class for card in restricted} == {DataClass.CREDENTIALED}


def test_no_card_pretends_to_know_a_revision() -> None:
    for card in cards("hub"):
        assert card.source is not None
        assert card.source["branch"] == EXPORT
        assert "revision" not in card.source


def test_they_are_listed_as_unverified_without_importing_what_would_load_them(site: Site) -> None:
    arguments = ["tasks", "list", "--json"]
    site.groupbench(*arguments)  # the index is made
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "groupbench", *arguments],
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    rows = {row["name"]: row for row in json.loads(process.stdout)["tasks"]}
    assert set(rows) >= {path.parent.name for path in PATHS}
    assert rows["cola"]["loader"] == "hub"
    assert rows["cola"]["verified"] is False
    assert rows["cola"]["loaded"] is None
    assert rows["mednli"]["data_class"] == "credentialed"
    assert rows["f0_cue"]["verified"] is None
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    top = {name.partition(".")[0] for name in imported}
    assert not top & {"datasets", "torch", "numpy", "pyarrow", "groupbench_tasks", "groupbench_hub"}
    table = site.groupbench("tasks", "list", COLUMNS="200").stdout
    assert "(unverified: not loaded yet from here)" in table


# What the hub holds, as far as a card needs it. Numbers stand for the classes listed.
def _stand_ins() -> dict[str, dict[str, Any]]:
    from datasets import ClassLabel, List, Value

    text, number = Value("string"), Value("int64")

    def classes(*names: str) -> Any:
        return ClassLabel(names=list(names))

    ner = classes("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
    return {
        "cola": {
            "folder": "cola",
            "splits": ("train", "validation", "test"),
            "features": {"sentence": text, "label": classes("unacceptable", "acceptable")},
            "rows": lambda i: {"sentence": f"a sentence {i}", "label": i % 2},
        },
        "mrpc": {
            "folder": "mrpc",
            "splits": ("train", "validation", "test"),
            "features": {
                "sentence1": text,
                "sentence2": text,
                "label": classes("not_equivalent", "equivalent"),
            },
            "rows": lambda i: {"sentence1": f"one {i}", "sentence2": f"two {i}", "label": i % 2},
        },
        "go-emotions": {
            "folder": "simplified",
            "splits": ("train", "validation", "test"),
            "features": {
                "text": text,
                "labels": List(classes(*load_card(CARDS / "general" / "go-emotions").labels)),
            },
            "rows": lambda i: {"text": f"a comment {i}", "labels": [i % 28, 27]},
        },
        "conll2003": {
            "folder": "conll2003",
            "splits": ("train", "validation", "test"),
            "features": {"tokens": List(text), "ner_tags": List(ner)},
            "rows": lambda i: {"tokens": ["Ada", f"w{i}"], "ner_tags": [1 + i % 8, 0]},
        },
        "bc5cdr": {
            "folder": "bc5cdr",
            "splits": ("train", "validation", "test"),
            "features": {"tokens": List(text), "tags": List(number)},
            "rows": lambda i: {"tokens": ["Lead", "poisoning", f"w{i}"], "tags": [1, 2, 0]},
        },
        "ncbi-disease": {
            "folder": "ncbi_disease",
            "splits": ("train", "validation", "test"),
            "features": {
                "tokens": List(text),
                "ner_tags": List(classes("O", "B-Disease", "I-Disease")),
            },
            "rows": lambda i: {
                "tokens": ["flu", f"w{i}"] if i else [],
                "ner_tags": [1, 0] if i else [],
            },
        },
        "pubmedqa": {
            "folder": "pqa_labeled",
            "splits": ("train",),
            "features": {
                "pubid": Value("int32"),
                "question": text,
                "long_answer": text,
                "final_decision": text,
            },
            "rows": lambda i: {
                "pubid": i,
                "question": f"Does it {i}?",
                "long_answer": f"It does {i}.",
                "final_decision": ["yes", "no", "maybe"][i % 3],
            },
        },
        "medical-question-pairs": {
            "folder": "default",
            "splits": ("train",),
            "features": {
                "dr_id": number,
                "question_1": text,
                "question_2": text,
                "label": classes("0", "1"),
            },
            "rows": lambda i: {
                "dr_id": 1,
                "question_1": f"Is it {i}?",
                "question_2": f"It is {i}?",
                "label": i % 2,
            },
        },
        "medical-abstracts": {
            "folder": "default",
            "splits": ("train", "test"),
            "features": {"condition_label": number, "medical_abstract": text},
            "rows": lambda i: {"condition_label": 1 + i % 5, "medical_abstract": f"abstract {i}"},
        },
        "pubmed-rct": {
            "folder": "default",
            "splits": ("train", "validation", "test"),
            "features": {"abstract_id": text, "label": text, "text": text},
            "rows": lambda i: {
                "abstract_id": f"a{i // 4}",
                "label": ["background", "methods", "results", "conclusions"][i % 4],
                "text": f"sentence {i}",
            },
        },
    }


N = 40


def _files(stand_in: Mapping[str, Any], split_text: str = "") -> dict[str, bytes]:
    """Return the Parquet files of a data set, in the folders that the hub converts into."""
    from datasets import Dataset, Features

    features = Features(stand_in["features"])
    files = {}
    for split in stand_in["splits"]:
        rows = [stand_in["rows"](i) for i in range(N)]
        if split_text:
            rows = [{**row, "sentence": f"{split_text} {i}"} for i, row in enumerate(rows)]
        columns = {name: [row[name] for row in rows] for name in features}
        buffer = io.BytesIO()
        Dataset.from_dict(columns, features=features).to_parquet(buffer)
        files[f"{stand_in['folder']}/{split}/0000.parquet"] = buffer.getvalue()
    # A configuration of the same data set that must not be mixed in.
    files["other/train/0000.parquet"] = next(iter(files.values()))
    return files


@pytest.fixture
def hub() -> Iterator[Hub]:
    pytest.importorskip("datasets", reason="the extra 'hub' is not installed")
    with serving() as hub:
        yield hub


LOAD = """
import json, sys
from groupbench.errors import GroupbenchError
from groupbench.plugins import Plugins
from groupbench.task import Split
plugins = Plugins.discover()
for name in sys.argv[1:]:
    try:
        task = plugins.task(name)
        print(json.dumps([name, {s: len(task.examples(s)) for s in Split},
                          task.examples(Split.TEST)[0].input, task.examples(Split.TEST)[0].gold]))
    except GroupbenchError as problem:
        print(json.dumps([name, str(problem)]))
"""


def load(site: Site, *names: str, **environment: str) -> dict[str, list[Any]]:
    process = subprocess.run(
        [sys.executable, "-c", LOAD, *names],
        env=site.environment(**environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=site.folder,
    )
    assert process.returncode == 0, process.stderr
    rows = map(json.loads, process.stdout.splitlines())
    return {name: rest for name, *rest in rows}


def test_cards_of_every_kind_load_from_a_hub_and_are_then_verified(
    hub: Hub, site: Site, tmp_path: Path
) -> None:
    by_name = {card.name: card for card in cards("hub")}
    stand_ins = _stand_ins()
    for name, stand_in in stand_ins.items():
        source = by_name[name].source
        assert source is not None
        commit = COMMIT if source["id"] != "nyu-mll/glue" else "e" * 40
        held = hub.files.get(source["id"], {}).get(commit, {})
        hub.put(source["id"], commit, {**_files(stand_in), **held}, EXPORT)
    environment: dict[str, Any] = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "hf"),
        "NO_PROXY": "127.0.0.1",
        "GROUPBENCH_CACHE": str(tmp_path / "cache"),
    }

    found = load(site, *stand_ins, **environment)

    assert found["cola"][0] == {"train": 36, "dev-a": 2, "dev-b": 2, "test": 40}
    assert found["cola"][1:] == ["a sentence 0", 0]
    assert found["mrpc"][1:] == [["one 0", "two 0"], 0]
    assert found["go-emotions"][1:] == ["a comment 0", [0, 27]]
    assert found["conll2003"][1:] == [["Ada", "w0"], [1, 0]]
    assert found["bc5cdr"][1:] == [["Lead", "poisoning", "w0"], [1, 3, 0]]
    assert found["ncbi-disease"][0]["test"] == N - 1
    assert found["ncbi-disease"][1:] == [["flu", "w1"], [1, 0]]
    assert (found["pubmedqa"][0]["train"], found["pubmedqa"][0]["test"]) == (28, 8)
    assert found["medical-question-pairs"][0]["train"] == 28
    assert found["medical-abstracts"][1:] == ["abstract 0", 0]
    assert found["pubmed-rct"][1:] == ["sentence 0", 0]

    listed = site.groupbench("tasks", "list", "--json", **environment)
    rows = {row["name"]: row for row in json.loads(listed.stdout)["tasks"]}
    assert {name for name, row in rows.items() if row["verified"]} == set(stand_ins)
    assert rows["pubmedqa"]["loaded"]["provenance"] == {
        "id": "qiaojin/PubMedQA",
        "revision": COMMIT,
    }
    assert rows["trec"]["verified"] is False
    shown = " ".join(site.groupbench("tasks", "show", "cola", **environment).stdout.split())
    assert "loaded on 20" in shown
    assert "e" * 40 in shown


def test_a_branch_is_read_at_the_commit_where_it_was_found_first(
    hub: Hub, site: Site, tmp_path: Path
) -> None:
    stand_in = _stand_ins()["cola"]
    environment: dict[str, Any] = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "hf"),
        "NO_PROXY": "127.0.0.1",
        "GROUPBENCH_CACHE": str(tmp_path / "cache"),
    }
    unread = load(site, "cola", GROUPBENCH_OFFLINE="1", **environment)["cola"][0]
    assert "branch refs/convert/parquet is not in" in unread
    assert "GROUPBENCH_OFFLINE forbids the network" in unread

    hub.put("nyu-mll/glue", COMMIT, _files(stand_in, "before"), EXPORT)
    assert load(site, "cola", **environment)["cola"][1] == "before 0"
    hub.put("nyu-mll/glue", LATER, _files(stand_in, "after"), EXPORT)
    n_asked = len(hub.asked)

    assert load(site, "cola", **environment)["cola"][1] == "before 0"
    assert load(site, "cola", GROUPBENCH_OFFLINE="1", **environment)["cola"][1] == "before 0"
    assert len(hub.asked) == n_asked


def test_data_that_do_not_fit_their_card_leave_it_unverified(
    hub: Hub, site: Site, tmp_path: Path
) -> None:
    from datasets import ClassLabel

    stand_in = _stand_ins()["cola"]
    stand_in["features"]["label"] = ClassLabel(names=["bad", "acceptable"])
    hub.put("nyu-mll/glue", COMMIT, _files(stand_in), EXPORT)
    environment: dict[str, Any] = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "hf"),
        "NO_PROXY": "127.0.0.1",
        "GROUPBENCH_CACHE": str(tmp_path / "cache"),
    }

    process = site.groupbench("tasks", "show", "cola", "--json", **environment)

    assert process.returncode == 2
    assert "label holds 'bad', which is not a label of the card" in process.stderr
    assert "Traceback" not in process.stderr
    document = json.loads(process.stdout)
    assert document["verified"] is False
    assert document["splits"] is None


# Credentialed corpora, in miniature. Every word is made up.


def _mednli(root: Path) -> None:
    folder = root / "mednli"
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        lines = [
            {
                "sentence1": f"Made-up history {split} {i}.",
                "sentence2": "He is well.",
                "gold_label": ["entailment", "contradiction", "neutral"][i % 3],
                "pairID": f"{split}-{i}",
            }
            for i in range(6)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"mli_{split}_v1.jsonl").write_text(text)


def _i2b2(root: Path) -> None:
    home = root / "i2b2-2010"
    train = home / "concept_assertion_relation_training_data" / "beth"
    test = home / "reference_standard_for_test_data"
    for folder in (
        train / "txt",
        train / "ast",
        train / "concept",
        test / "ast",
        test / "concepts",
    ):
        folder.mkdir(parents=True)
    (home / "test_data").mkdir()
    text = "Plan :\nno fever was seen .\ngive aspirin daily for heart pain\n"
    assertions = (
        'c="fever" 2:1 2:1||t="problem"||a="absent"\n'
        'c="heart pain" 3:4 3:5||t="problem"||a="present"\n'
    )
    concepts = (
        'c="fever" 2:1 2:1||t="problem"\nc="aspirin" 3:1 3:1||t="treatment"\n'
        'c="heart pain" 3:4 3:5||t="problem"\n'
    )
    for number in range(9):
        (train / "txt" / f"record-{number}.txt").write_text(text)
        (train / "ast" / f"record-{number}.ast").write_text(assertions)
        (train / "concept" / f"record-{number}.con").write_text(concepts)
    (home / "test_data" / "0001.txt").write_text(text)
    (test / "ast" / "0001.ast").write_text(assertions)
    (test / "concepts" / "0001.con").write_text(concepts)


THYME = """<data><annotations>
<entity><id>1</id><span>{0},{1}</span><type>EVENT</type>
<properties><DocTimeRel>BEFORE</DocTimeRel></properties></entity>
<entity><id>2</id><span>{0},{1}</span><type>TIMEX3</type><properties/></entity>
<relation><id>3</id><type>TLINK</type></relation>
</annotations></data>"""


def _thyme(root: Path) -> None:
    for number in range(1, 17):
        name = f"ID{number:03}_clinic_001"
        folder = root / "thyme" / "Train" / name
        folder.mkdir(parents=True)
        note = f"Note {number}.\nShe had surgery last year.\n"
        (folder / name).write_text(note)
        at = note.index("surgery")
        xml = folder / f"{name}.Temporal-Relation.gold.completed.xml"
        xml.write_text(THYME.format(at, at + len("surgery")))


CORPORA = {
    "mednli": (_mednli, ["Made-up history test 0.", "He is well."], 0),
    "i2b2-2010-assertion": (_i2b2, "no [E1] fever [/E1] was seen .", 1),
    "i2b2-2010-concepts": (_i2b2, ["Plan", ":"], [0, 0]),
    "thyme-doctimerel": (_thyme, "She had [E1] surgery [/E1] last year.", 0),
}


@pytest.mark.parametrize("name", CORPORA)
def test_a_credentialed_corpus_is_read_as_its_owners_hand_it_out(
    name: str, site: Site, tmp_path: Path
) -> None:
    make, text, gold = CORPORA[name]
    make(tmp_path / "corpora")
    environment: dict[str, Any] = {
        "GROUPBENCH_DATA": str(tmp_path / "corpora"),
        "GROUPBENCH_CACHE": str(tmp_path / "cache"),
    }

    sizes, first, answer = load(site, name, **environment)[name]

    assert all(sizes.values())
    assert (first, answer) == (text, gold)
    listed = json.loads(site.groupbench("tasks", "list", "--json", **environment).stdout)
    assert [row["name"] for row in listed["tasks"] if row["verified"]] == [name]


def test_documents_and_patients_are_not_divided_between_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _i2b2(tmp_path)
    _thyme(tmp_path)
    monkeypatch.setenv("GROUPBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path / "cache"))
    for name in ("i2b2-2010-assertion", "i2b2-2010-concepts", "thyme-doctimerel"):
        task = load_card(CARDS / "clinical" / name).task(LOADERS)
        clusters = [{e.cluster for e in task.data[split]} for split in task.data]
        assert all(clusters)
        assert sum(map(len, clusters)) == len(set.union(*clusters))
    found = {e.cluster for e in task.data["test"]}  # type: ignore[index] # splits are texts
    assert found == {"ID006", "ID007", "ID014", "ID015"}


def test_a_corpus_that_is_not_there_says_where_to_ask_and_what_to_put_where(
    site: Site, tmp_path: Path
) -> None:
    process = site.groupbench("tasks", "show", "mednli")
    assert process.returncode == 2
    assert "GROUPBENCH_DATA is not set" in process.stderr
    assert "ask for it at https://physionet.org/content/mednli/" in process.stderr
    assert "mli_train_v1.jsonl" in process.stderr
    assert "unverified" in process.stdout
    process = site.groupbench("tasks", "show", "thyme-doctimerel", GROUPBENCH_DATA=str(tmp_path))
    assert f"there is no folder {tmp_path}/thyme;" in process.stderr
    assert "Traceback" not in process.stderr
    without = site.groupbench("tasks", "show", "mednli", "--no-data")
    assert (without.returncode, without.stderr) == (0, "")


MEDNLI = "mednli/mli_dev_v1.jsonl"
I2B2 = "i2b2-2010/reference_standard_for_test_data"
NOTE = "thyme/Train/ID001_clinic_001/ID001_clinic_001.Temporal-Relation.gold.completed.xml"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("mednli", (MEDNLI, "{}\n"), "line 1: is no pair with sentence1"),
        ("mednli", (MEDNLI, ""), "holds nothing for validation"),
        (
            "i2b2-2010-assertion",
            (f"{I2B2}/ast/0001.ast", 'c="x" 9:0 9:0||t="problem"||a="present"'),
            "words 0 to 0 of line 9 are not there",
        ),
        ("i2b2-2010-assertion", (f"{I2B2}/ast/0001.ast", "x"), 'line 1: is not like c="..."'),
        (
            "i2b2-2010-concepts",
            (f"{I2B2}/concepts/0002.con", ""),
            "there is no text of document 0002",
        ),
        ("thyme-doctimerel", (NOTE, THYME.format(5, 5000)), "lies outside of the note"),
        ("thyme-doctimerel", (NOTE, "<data>"), "is not XML"),
    ],
)
def test_a_damaged_corpus_names_the_file(
    name: str,
    damage: tuple[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from groupbench.errors import DataError

    CORPORA[name][0](tmp_path)
    path, text = damage
    (tmp_path / path).write_text(text)
    monkeypatch.setenv("GROUPBENCH_DATA", str(tmp_path))
    task = load_card(CARDS / "clinical" / name).task(LOADERS)
    with pytest.raises(DataError) as error:
        _ = task.data
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_card_of_ones_own_wins_over_one_of_ours_and_a_note_says_so(
    site: Site, tmp_path: Path
) -> None:
    from sites import write_tasks

    mine = write_tasks(tmp_path / "mine", ["cola", "alpha"])

    listed = site.groupbench("tasks", "list", "--json", "--tasks-dir", mine)
    shown = site.groupbench("tasks", "show", "cola", "--json", "--tasks-dir", mine)
    theirs = site.groupbench("tasks", "show", "groupbench/cola", "--no-data", "--tasks-dir", mine)

    assert listed.returncode == 0
    rows = [row for row in json.loads(listed.stdout)["tasks"] if "cola" in row["name"]]
    assert [(row["name"], row["domain"]) for row in rows] == [("cola", "made")]
    note = f"note: cola: from {mine}, not a plugin's; write groupbench/cola for that."
    assert note in listed.stderr
    assert json.loads(shown.stdout)["source"].startswith(str(mine))
    assert "acceptability" in theirs.stdout
