# ruff: noqa: E501 - each fault stands on one line with its message
from __future__ import annotations

import json
import pickle
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from groupbench.caps import capped
from groupbench.cards.card import TaskCard, load_card, load_tasks_dir
from groupbench.cards.paths import find_cards
from groupbench.errors import CardError, DataError, GroupbenchError, SettingError
from groupbench.task import DataClass, Example, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Rows = list[dict[str, Any]]

CARD: dict[str, Any] = {
    "name": "mood",
    "kind": "single",
    "labels": ["bad", "good"],
    "metrics": ["accuracy", "f1_macro"],
}
KINDS: dict[str, dict[str, Any]] = {
    "single": {},
    "pair": {"kind": "pair"},
    "multilabel": {"kind": "multilabel"},
    "token": {"kind": "token", "labels": ["O", "B-x", "I-x"]},
}


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def row(kind: str, i: int) -> dict[str, Any]:
    match kind:
        case "pair":
            return {"text": f"a {i}", "text_pair": f"b {i}", "label": ["bad", "good"][i % 2]}
        case "multilabel":
            return {"text": f"a {i}", "labels": [[], ["good"], ["good", "bad"]][i % 3]}
        case "token":
            return {"tokens": ["We", "saw", f"Ada{i}"], "tags": ["O", "O", "B-x"]}
    return {"text": f"text {i}", "label": ["bad", "good"][i % 2]}


def make(
    folder: Path, *, rows: Mapping[str, Rows] | None = None, n: int = 8, **card: object
) -> Path:
    """Write a task folder that is right but for what the test says."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {key: value for key, value in (CARD | card).items() if value is not None}
    text = "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in facts.items())
    (folder / "card.toml").write_text(text, encoding="utf-8")
    for split in ("train", "validation", "test"):
        lines = [row(str(facts["kind"]), i) for i in range(n)]
        lines = (rows or {}).get(split, lines)
        data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{split}.jsonl").write_text(data, encoding="utf-8")
    return folder


def said(action: Callable[[], object]) -> str:
    """Return the message of the error that ``action`` ends with: one or two lines, no more."""
    with pytest.raises((CardError, DataError)) as error:
        action()
    message = str(error.value)
    assert "\n" not in message
    assert error.value.exit_code == 2
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_of_every_kind_loads(kind: str, tmp_path: Path) -> None:
    task = load_card(make(tmp_path, **KINDS[kind])).task()

    first = task.examples(Split.TRAIN)[1]

    assert (
        first
        == {
            "single": Example("train-1", "text 1", 1),
            "pair": Example("train-1", ("a 1", "b 1"), 1),
            "multilabel": Example("train-1", "a 1", (1,)),
            "token": Example("train-1", ("We", "saw", "Ada1"), (0, 0, 1)),
        }[kind]
    )
    assert task.kind is Kind(kind)
    assert {split: len(task.examples(split)) for split in Split} == {
        Split.TRAIN: 8,
        Split.DEV_A: 4,
        Split.DEV_B: 4,
        Split.TEST: 8,
    }


def test_dev_a_and_dev_b_are_validation_divided_with_the_labels_spread(tmp_path: Path) -> None:
    task = load_card(make(tmp_path, n=20)).task()

    a, b = task.examples(Split.DEV_A), task.examples(Split.DEV_B)

    assert {e.id for e in a} | {e.id for e in b} == {f"validation-{i}" for i in range(20)}
    assert Counter(e.gold for e in a) == Counter(e.gold for e in b) == {0: 5, 1: 5}


def test_a_cluster_stays_in_one_half_of_validation(tmp_path: Path) -> None:
    rows = [row("single", i) | {"patient": i // 4} for i in range(24)]
    folder = make(tmp_path, rows=dict.fromkeys(SPLITS, rows), cluster_column="patient")
    task = load_card(folder).task()

    a = {e.cluster for e in task.examples(Split.DEV_A)}
    b = {e.cluster for e in task.examples(Split.DEV_B)}

    assert a | b == {str(i) for i in range(6)}
    assert not a & b


SPLITS = ("train", "validation", "test")


def test_the_card_becomes_the_task(tmp_path: Path) -> None:
    path = make(
        tmp_path,
        domain="film",
        data_class="open",
        title="Mood of reviews",
        description="Sentences.",
        primary_metric="f1_macro",
        positive_label="good",
        metric_excluded_labels=["bad"],
        licence="CC BY 4.0",
        source_repository="a/b",
        prompt={"instruction": "Say it.", "verbalisers": {"bad": ["poor", "bad"], "good": "fine"}},
    )

    card = load_card(path)
    task = card.task()

    assert (task.name, task.domain, task.summary) == ("mood", "film", "Mood of reviews")
    assert task.data_class is DataClass.OPEN
    assert task.metrics == ("f1_macro", "accuracy")
    assert (task.positive_label, task.excluded_labels) == ("good", ("bad",))
    assert task.source == str(path / "card.toml")
    assert task.prompt["instruction"] == "Say it."
    assert json.loads(task.prompt["verbalisers"]) == {"bad": ["poor", "bad"], "good": ["fine"]}
    assert card.about == {"licence": "CC BY 4.0", "source_repository": "a/b"}


def test_text_fields_name_the_texts_of_a_pair_unless_the_prompt_does(tmp_path: Path) -> None:
    fields = {"text": "premise", "text_pair": "claim"}
    path = make(tmp_path, kind="pair", text_fields=fields, prompt={"name_b": "Hypothesis"})

    assert load_card(path).task().prompt == {"name_a": "premise", "name_b": "Hypothesis"}


def test_a_data_class_that_is_not_stated_is_unstated(tmp_path: Path) -> None:
    assert load_card(make(tmp_path)).task().data_class is DataClass.UNSTATED


def test_data_are_read_when_asked_for_and_not_before(tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a" / "test.jsonl").unlink()

    [task] = load_tasks_dir(tmp_path)

    assert "no file of the test split" in said(lambda: task.data)


def test_a_task_can_be_pickled_before_and_after_its_data_are_read(tmp_path: Path) -> None:
    task = load_card(make(tmp_path)).task()

    assert pickle.loads(pickle.dumps(task)).data == task.data  # noqa: S301 - our own bytes
    assert pickle.loads(pickle.dumps(task)).fingerprint == task.fingerprint  # noqa: S301 - likewise


def test_the_fingerprint_knows_data_and_not_places(tmp_path: Path) -> None:
    rows = {"train": [row("single", i) for i in range(8)]}
    here = load_card(make(tmp_path / "a", rows=rows)).task().fingerprint
    there = load_card(make(tmp_path / "b" / "c", rows=rows, title="Other words")).task().fingerprint
    rows["train"][3]["text"] += "!"
    changed = load_card(make(tmp_path / "d", rows=rows)).task().fingerprint
    turned = load_card(make(tmp_path / "e", labels=["good", "bad"])).task().fingerprint

    assert here == there
    assert len({here, changed, turned}) == 3


def test_every_format_gives_the_same_examples(tmp_path: Path) -> None:
    texts = ['say "hi"', "null", "NA", "None", " padded ", "zwei\nZeilen", "a,b\tc", "ünï"]
    labels = ["bad", "good"] * 4
    rows = [{"text": t, "label": y} for t, y in zip(texts, labels, strict=True)]
    expected = load_card(make(tmp_path / "jsonl", rows=dict.fromkeys(SPLITS, rows))).task().data

    for form in ("csv", "tsv", "parquet"):
        folder = make(tmp_path / form)
        for split in SPLITS:
            (folder / f"{split}.jsonl").unlink()
            write(folder / f"{split}.{form}", rows)
        assert load_card(folder).task().data == expected


def write(path: Path, rows: Rows) -> None:
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, list(rows[0]), delimiter="," if path.suffix == ".csv" else "\t"
        )
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("cell", ["good|bad", "bad | good", '["bad", "good"]'])
def test_labels_in_csv_are_a_json_list_or_joined_by_bars(cell: str, tmp_path: Path) -> None:
    folder = make(tmp_path, kind="multilabel")
    (folder / "test.jsonl").unlink()
    write(folder / "test.csv", [{"text": "a", "labels": cell}, {"text": "b", "labels": ""}])

    assert [e.gold for e in load_card(folder).task().examples(Split.TEST)] == [(0, 1), ()]


@pytest.mark.parametrize(
    ("tokens", "tags"), [("[ Ada ]", "O B-x O"), ('["[", "Ada", "]"]', '["O", "B-x", "O"]')]
)
def test_words_in_tsv_are_a_json_list_or_joined_by_spaces(
    tokens: str, tags: str, tmp_path: Path
) -> None:
    folder = make(tmp_path, **KINDS["token"])
    (folder / "test.jsonl").unlink()
    write(folder / "test.tsv", [{"tokens": tokens, "tags": tags}])

    [example] = load_card(folder).task().examples(Split.TEST)

    assert (example.input, example.gold) == (("[", "Ada", "]"), (0, 1, 0))


def test_a_tag_inside_without_one_that_begins_is_taken_as_it_is(tmp_path: Path) -> None:
    rows = [{"tokens": ["Ada"], "tags": ["I-x"]}]

    task = load_card(make(tmp_path, rows={"test": rows}, **KINDS["token"])).task()

    assert task.examples(Split.TEST)[0].gold == (2,)


def test_numbers_stand_for_the_labels_written_like_them(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": i % 2} for i in range(4)]

    task = load_card(make(tmp_path, labels=["0", "1"], rows=dict.fromkeys(SPLITS, rows))).task()

    assert [e.gold for e in task.examples(Split.TEST)] == [0, 1, 0, 1]


def test_columns_and_files_can_have_other_names(tmp_path: Path) -> None:
    rows = {
        split: [{"sentence": f"s{i}", "y": "good", "key": f"{split}/{i}"} for i in range(3)]
        for split in SPLITS
    }
    columns = {"text": "sentence", "label": "y", "id": "key"}
    folder = make(tmp_path, rows=rows, columns=columns, files={"validation": "more/dev.jsonl"})
    (folder / "more").mkdir()
    (folder / "validation.jsonl").rename(folder / "more" / "dev.jsonl")

    task = load_card(folder).task()

    assert task.examples(Split.TEST)[2] == Example("test/2", "s2", 1)
    assert {e.id for e in task.examples(Split.DEV_A)} < {f"validation/{i}" for i in range(3)}


def test_quotes_can_be_switched_off_by_the_card(tmp_path: Path) -> None:
    folder = make(tmp_path, files={"quotes": False})
    (folder / "test.jsonl").unlink()
    (folder / "test.tsv").write_text('text\tlabel\n"open\tgood\n')

    assert load_card(folder).task().examples(Split.TEST)[0].input == '"open'


# Each fault of a card, and what its one message must say.
CARD_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": None}, "there is no 'name'; every card needs one."),
    "no labels": ({"labels": None}, "there is no 'labels'; every card needs one."),
    "name": ({"name": "My Task"}, "name = 'My Task' must be 1 to 64 of a-z, 0-9"),
    "name leaves": ({"name": "../up"}, "name = '../up' must be 1 to 64 of a-z, 0-9"),
    "name type": ({"name": 5}, "name = 5: expected a text, got a number."),
    "kind": ({"kind": "singel"}, "kind = 'singel' is unknown; did you mean 'single'?"),
    "kind type": ({"kind": 3}, "kind = 3 is unknown; use single, pair, multilabel, token."),
    "data class": ({"data_class": "opne"}, "data_class = 'opne' is unknown; did you mean 'open'?"),
    "unknown key": ({"lables": ["a"]}, "there is no key 'lables' (= ['a']). Did you mean 'labels'?"),
    "far key": ({"zzz": 1}, "there is no key 'zzz' (= 1). Put what is yours below [notes]."),
    "labels type": ({"labels": "bad"}, "labels = 'bad': expected a list, got a text."),
    "label type": ({"labels": ["bad", 1]}, "labels[1] = 1: expected a text, got a number."),
    "empty labels": ({"labels": []}, "labels is empty; list every label."),
    "labels twice": ({"labels": ["a", "b", "a"]}, "labels holds 'a' more than once; keep one."),
    "blank label": ({"labels": ["a", " "]}, "labels holds ' '; a label needs a name."),
    "no bio": ({"kind": "token", "labels": ["O", "x"]}, "labels holds 'x', but tags are 'O', 'B-x' or"),
    "no outside": ({"kind": "token", "labels": ["B-x"]}, "labels lacks 'O', the tag outside of all"),
    "metrics type": ({"metrics": "accuracy"}, "metrics = 'accuracy': expected a list, got a text."),
    "empty metrics": ({"metrics": []}, "metrics is empty; name at least one."),
    "primary": ({"primary_metric": "acuracy"}, "primary_metric = 'acuracy' is unknown; did you mean 'accuracy'?"),
    "positive": ({"positive_label": "goood"}, "positive_label = 'goood' is unknown; did you mean 'good'?"),
    "no positive": ({"metrics": ["f1_binary"]}, "the metric f1_binary needs positive_label"),
    "excluded": ({"metric_excluded_labels": ["x"]}, "metric_excluded_labels = 'x' is unknown; use bad, good."),
    "all excluded": ({"metric_excluded_labels": ["bad", "good"]}, "metric_excluded_labels leaves no label to judge."),
    "role": ({"columns": {"txt": "t"}}, "[columns] txt = 't': the role = 'txt' is unknown; did you mean 'text'?"),
    "other kind's role": ({"columns": {"tokens": "t"}}, "[columns] tokens = 't': the role"),
    "column type": ({"columns": {"text": 1}}, "columns = {'text': 1}: expected a text for every key, got a number."),
    "one column for two": ({"columns": {"text": "label"}}, "the column 'label' is both text and label; name two."),
    "two id columns": ({"columns": {"id": "a"}, "id_column": "b"}, "id_column = 'b' but [columns] id = 'a'; keep one."),
    "split": ({"files": {"dev": "x.csv"}}, "[files] dev = 'x.csv': the key = 'dev' is unknown; use train,"),
    "quotes": ({"files": {"quotes": "no"}}, "[files] quotes = 'no': expected true or false."),
    "no loader": ({"source": {"id": "x"}}, '[source] needs a loader, for example loader = "hub".'),
    "loader": ({"source": {"loader": "hob"}}, "[source] loader: No loader named 'hob'. No loader is registered."),
    "files and source": ({"source": {"loader": "hub"}, "files": {"test": "t.csv"}}, "has both [files] and [source]"),
    "part": ({"prompt": {"instructions": "x"}}, "[prompt] instructions: the part = 'instructions' is unknown; did you mean 'instruction'?"),
    "part type": ({"prompt": {"cue": 1}}, "[prompt] cue = 1: expected a text."),
    "no wording": ({"prompt": {"verbalisers": {"bad": "poor"}}}, "[prompt.verbalisers] has no wording for 'good'"),
    "one wording": ({"prompt": {"verbalisers": {"bad": "x", "good": "X "}}}, "good holds 'X ', which words bad already."),
    "schema": ({"schema": "groupbench/task/9"}, "schema = 'groupbench/task/9'; this version reads"),
}  # fmt: skip


@pytest.mark.parametrize("fault", CARD_FAULTS)
def test_each_fault_of_a_card_has_one_clear_message(fault: str, tmp_path: Path) -> None:
    changes, expected = CARD_FAULTS[fault]
    path = make(tmp_path, **changes) / "card.toml"

    message = said(lambda: load_card(path).task())

    assert message.startswith(f"{path}: ")
    assert expected in message


# Each fault of a file: the rows of test, further keys of the card, and what the message must say.
DATA_FAULTS: dict[str, tuple[str, Rows, dict[str, Any], str]] = {
    "unknown label": ("single", [{"text": "a", "label": "goood"}], {}, "line 1: label holds 'goood', which is not a label of the card; did you mean 'good'?"),
    "other case": ("single", [{"text": "a", "label": "Good"}], {}, "did you mean 'good'?"),
    "far label": ("single", [{"text": "a", "label": "zzz"}], {}, "label holds 'zzz', which is not a label of the card; known: bad, good."),
    "number": ("single", [{"text": "a", "label": 7}], {}, "label holds 7, which is not a label of the card"),
    "label list": ("single", [{"text": "a", "label": ["good"]}], {}, "label holds ['good'], which is not a label"),
    "null label": ("single", [{"text": "a", "label": None}], {}, "label is null; give every row its label."),
    "empty text": ("single", [{"text": "a", "label": "bad"}, {"text": " \t", "label": "bad"}], {}, "line 2: text is empty; mend or drop the row."),
    "null text": ("single", [{"text": None, "label": "bad"}], {}, "text is null; mend or drop the row."),
    "text number": ("single", [{"text": 3, "label": "bad"}], {}, "text is 3, a int and not a text"),
    "column": ("single", [{"txt": "a", "label": "bad"}], {}, "there is no column 'text', only 'txt', 'label'. Did you mean 'txt'?"),
    "no rows": ("single", [], {}, "the test split has no rows; every split needs some."),
    "empty second": ("pair", [{"text": "a", "text_pair": "", "label": "bad"}], {}, "text_pair is empty"),
    "unknown of many": ("multilabel", [{"text": "a", "labels": ["good", "bda"]}], {}, "labels holds 'bda', which is not a label of the card; did you mean 'bad'?"),
    "null labels": ("multilabel", [{"text": "a", "labels": None}], {}, "labels is null; a list is wanted"),
    "labels number": ("multilabel", [{"text": "a", "labels": 3}], {}, "labels is a int; a list is wanted"),
    "null in labels": ("multilabel", [{"text": "a", "labels": [None]}], {}, "labels is null; give every row its label."),
    "tag": ("token", [{"tokens": ["a"], "tags": ["B-y"]}], {}, "tags holds 'B-y', which is not a tag of the card"),
    "tags short": ("token", [{"tokens": ["a", "b"], "tags": ["O"]}], {}, "line 1: tags holds 1 tags for 2 tokens; give every word one tag."),
    "no words": ("token", [{"tokens": [], "tags": []}], {}, "tokens is empty; mend or drop the row."),
    "blank word": ("token", [{"tokens": ["a", " "], "tags": ["O", "O"]}], {}, "tokens holds a word that is empty"),
    "null word": ("token", [{"tokens": ["a", None], "tags": ["O", "O"]}], {}, "tokens holds a word that is null"),
    "id twice": ("single", [{"text": "a", "label": "bad", "k": 1}] * 2, {"id_column": "k"}, "test.jsonl, line 2: k = '1' was there before"),
    "id null": ("single", [{"text": "a", "label": "bad", "k": None}], {"id_column": "k"}, "k is null; give every row a text or whole number."),
    "cluster": ("single", [{"text": "a", "label": "bad", "k": 1.5}], {"cluster_column": "k"}, "k is 1.5, a float and not a text"),
}  # fmt: skip


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_each_fault_of_a_file_has_one_clear_message(fault: str, tmp_path: Path) -> None:
    kind, rows, card, expected = DATA_FAULTS[fault]
    right = {
        split: [row(kind, i) | {"k": f"{split}{i}"} for i in range(4)]
        for split in ("train", "validation")
    }
    folder = make(tmp_path, rows=right | {"test": rows}, **KINDS[kind], **card)

    message = said(lambda: load_card(folder).task().data)

    assert message.startswith(str(folder / "test.jsonl"))
    assert expected in message


@pytest.mark.parametrize("split", SPLITS)
def test_an_empty_split_is_refused(split: str, tmp_path: Path) -> None:
    task = load_card(make(tmp_path, rows={split: []})).task()

    assert f"the {split} split has no rows" in said(lambda: task.data)


def test_a_label_that_no_train_row_has_is_fine(tmp_path: Path) -> None:
    task = load_card(make(tmp_path, labels=["bad", "good", "unseen"])).task()

    assert {e.gold for e in task.examples(Split.TRAIN)} == {0, 1}


def test_an_id_in_two_splits_is_refused(tmp_path: Path) -> None:
    rows = [row("single", i) | {"k": i} for i in range(4)]
    folder = make(tmp_path, rows=dict.fromkeys(SPLITS, rows), id_column="k")

    assert "k = '0' is in train and in validation" in said(lambda: load_card(folder).task().data)


def test_validation_of_one_cluster_cannot_be_divided(tmp_path: Path) -> None:
    rows = [row("single", i) | {"doc": "one"} for i in range(4)]
    folder = make(tmp_path, rows=dict.fromkeys(SPLITS, rows), cluster_column="doc")

    assert "has a single cluster" in said(lambda: load_card(folder).task().data)


def test_a_split_under_another_name_is_suggested(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "validation.jsonl").rename(folder / "dev.jsonl")

    message = said(lambda: load_card(folder).task().data)

    assert message == (
        f"{folder}/card.toml: there is no file of the validation split."
        ' To use dev.jsonl, write [files] validation = "dev.jsonl" in the card.'
    )


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "train.csv").write_text("text,label\na,bad\n")

    message = said(lambda: load_card(folder).task().data)

    assert "train could be train.jsonl or train.csv; keep one" in message


@pytest.mark.parametrize(
    "name",
    ["../x/test.csv", "/etc/hostname", "a/../../test.csv", "~/test.csv", "te\0st.csv", "",
     "file:///etc/passwd", "\\\\server\\test.csv"],
)  # fmt: skip
def test_a_path_that_leaves_the_folder_of_the_card_is_refused(name: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "card", files={"test": name})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "test.csv").write_text("text,label\na,bad\n")

    message = said(lambda: load_card(folder).task().data)

    assert message.startswith(f"{folder / 'card.toml'}: [files] test = {name!r} ")
    assert message.endswith("name a file in the card's own folder, or copy it there.")


def test_a_link_that_leaves_the_folder_of_the_card_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "card")
    (folder / "test.jsonl").rename(tmp_path / "elsewhere.jsonl")
    (folder / "test.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")

    assert "is a link that leaves the card's folder" in said(lambda: load_card(folder).task().data)


def test_links_inside_the_folder_and_to_the_folder_are_followed(tmp_path: Path) -> None:
    folder = make(tmp_path / "real" / "card")
    (folder / "test.jsonl").rename(folder / "other.jsonl")
    (folder / "test.jsonl").symlink_to("other.jsonl")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "linked").symlink_to(folder)

    [task] = load_tasks_dir(tmp_path / "tasks")

    assert len(task.examples(Split.TEST)) == 8


@pytest.mark.parametrize("target", ["nowhere.jsonl", "test.jsonl"])
def test_a_link_that_leads_nowhere_is_refused(target: str, tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "test.jsonl").unlink()
    (folder / "test.jsonl").symlink_to(target)

    message = said(lambda: load_card(folder).task().data)

    assert "test.jsonl" in message


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "test.jsonl").unlink()
    (folder / "test.jsonl").mkdir()

    assert "is a folder; a file is wanted" in said(lambda: load_card(folder).task().data)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'name = "x', "is not TOML: "),
        (b"x = " + b"[" * 5000, "is not TOML that can be read: nested too deeply."),
        (b'name = "caf\xe9"\n', "line 1: byte 11 (0xe9) is not UTF-8; save the file as UTF-8."),
        (b"\xff\xfen\0", "is UTF-16 (byte 0 is 0xff); save it as UTF-8."),
        (b'name = "x"\nname = "y"\n', "is not TOML: "),
    ],
)
def test_a_card_that_is_not_toml_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(content)

    message = said(lambda: load_card(path))

    assert message.startswith(str(path))
    assert expected in message


def test_a_card_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = make(tmp_path) / "card.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert load_card(path).name == "mood"


def test_a_card_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    assert said(lambda: load_card(tmp_path)) == f"{tmp_path}/card.toml: there is no such file."


def test_cards_are_found_at_any_depth_each_once_and_hidden_folders_are_passed_over(
    tmp_path: Path,
) -> None:
    make(tmp_path / "b" / "deep" / "one", name="one")
    make(tmp_path / "a", name="two")
    make(tmp_path / ".hidden", name="three")
    (tmp_path / "loop").symlink_to(tmp_path)

    assert find_cards(tmp_path) == [tmp_path / "a/card.toml", tmp_path / "b/deep/one/card.toml"]
    assert find_cards(tmp_path / "a") == [tmp_path / "a/card.toml"]
    assert [task.name for task in load_tasks_dir(tmp_path)] == ["two", "one"]


def test_a_name_declared_twice_names_both_cards(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")

    assert said(lambda: load_tasks_dir(tmp_path)) == (
        f"{tmp_path}/b/card.toml: name = 'mood' is taken by {tmp_path}/a/card.toml; rename one."
    )


def test_a_folder_without_cards_is_refused(tmp_path: Path) -> None:
    assert "holds no card.toml" in said(lambda: load_tasks_dir(tmp_path))
    assert "no such folder" in said(lambda: load_tasks_dir(tmp_path / "absent"))
    assert "no such folder" in said(lambda: load_tasks_dir("nul\0"))
    assert "is a file" in said(lambda: load_tasks_dir(make(tmp_path) / "card.toml"))


@dataclass(frozen=True)
class Squares:
    """A loader as a plugin would offer it."""

    name: ClassVar[str] = "squares"
    summary: ClassVar[str] = "Squares."

    n: int = 4
    skip: str | None = None
    uneven: bool = False
    broken: bool = False

    def __call__(self) -> Mapping[str, Mapping[str, Sequence[Any]]]:
        if self.broken:
            raise DataError("squares are out of stock; order some.")
        labels = ["bad", "good"] * (self.n // 2) + ["bad"] * self.uneven
        columns = {"text": [f"{i * i}" for i in range(self.n)], "label": labels}
        return {split: columns for split in SPLITS if split != self.skip}


def from_squares(folder: Path, **source: object) -> GroupbenchError | Sequence[Example]:
    path = make(folder, source={"loader": "squares"} | source)
    try:
        return load_card(path).task({"squares": Squares}).examples(Split.TEST)
    except GroupbenchError as error:
        return error


def test_rows_can_come_from_a_plugins_loader_with_settings(tmp_path: Path) -> None:
    examples = from_squares(tmp_path, n=6)

    assert isinstance(examples, tuple)
    assert [e.input for e in examples] == ["0", "1", "4", "9", "16", "25"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"loader": "sqares"},
            "[source] loader: No loader named 'sqares'. Did you mean 'squares'?",
        ),
        ({"m": 3}, "[source] loader squares: no setting named 'm' (= 3)."),
        ({"n": "six"}, "[source] loader squares: Expected `int`, got `str`"),
        (
            {"skip": "test"},
            "gave no test split, only train, validation; [divide] can cut it from train.",
        ),
        ({"uneven": True}, "columns have different lengths: {'text': 4, 'label': 5}."),
        ({"broken": True}, "[source] squares are out of stock; order some."),
    ],
)
def test_each_fault_of_a_loader_names_the_card(
    source: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    error = from_squares(tmp_path, **source)

    assert isinstance(error, (CardError, DataError))
    assert str(error).startswith(str(tmp_path / "card.toml"))
    assert expected in str(error)


def test_a_capped_task_is_smaller_stratified_and_its_examples_are_the_tasks(tmp_path: Path) -> None:
    task = load_card(make(tmp_path, n=100)).task()

    small = capped(task, train=20, validation=10, test=30)

    sizes = {split: len(small.examples(split)) for split in Split}
    assert sizes == {Split.TRAIN: 20, Split.DEV_A: 5, Split.DEV_B: 5, Split.TEST: 30}
    assert Counter(e.gold for e in small.examples(Split.TRAIN)) == {0: 10, 1: 10}
    assert all(set(small.examples(split)) < set(task.examples(split)) for split in Split)
    assert small.fingerprint != task.fingerprint
    assert capped(task, train=20, validation=10, test=30).fingerprint == small.fingerprint
    assert capped(task, train=20, validation=10, test=30, seed=1).data != small.data


def test_caps_over_the_size_and_no_caps_change_nothing(tmp_path: Path) -> None:
    task = load_card(make(tmp_path)).task()

    assert capped(task) is task
    assert capped(task, 1000, 1000, 1000).fingerprint == task.fingerprint


def test_a_capped_task_is_lazy_and_can_be_pickled(tmp_path: Path) -> None:
    folder = make(tmp_path)
    task = capped(load_card(folder).task(), train=4)
    copy = pickle.loads(pickle.dumps(task))  # noqa: S301 - our own bytes

    assert copy.data == task.data
    (folder / "train.jsonl").unlink()
    said(lambda: capped(load_card(folder).task(), train=4).data)


@pytest.mark.parametrize("caps", [{"train": 0}, {"validation": 1}, {"test": -1}])
def test_a_cap_that_leaves_nothing_is_refused(caps: dict[str, int], tmp_path: Path) -> None:
    task = load_card(make(tmp_path)).task()

    with pytest.raises(SettingError, match=f"The cap of {next(iter(caps))} is"):
        capped(task, **caps)


def test_a_card_is_named_by_its_folder_or_its_file(tmp_path: Path) -> None:
    card = load_card(make(tmp_path))

    assert isinstance(card, TaskCard)
    assert card == load_card(tmp_path / "card.toml")
