"""`groupbench tasks new`: from data files to a card that runs, with no Python written."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import random
import subprocess
import sys
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.authoring.card_text import card_text
from groupbench.cards.card import TaskCard, load_card
from groupbench.cli import main
from groupbench.task import DataClass, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from click.testing import Result
    from sites import Site

WORDS = {
    "bad": ["awful", "broken", "refund", "slow", "never"],
    "good": ["great", "perfect", "fast", "love", "again"],
}


def reviews(n: int = 120) -> list[dict[str, str]]:
    """Return reviews whose words tell their label."""
    rng = random.Random(7)  # noqa: S311 - no secret
    return [
        {
            "review_id": f"r{i}",
            "shop": rng.choice("abc"),
            "text": f"{' '.join(rng.choices([*WORDS[label], 'the', 'thing', 'was'], k=6))} {i}",
            "verdict": label,
        }
        for i in range(n)
        for label in [["bad", "good"][i % 2]]
    ]


def table(rows: Sequence[Mapping[str, object]], delimiter: str = ",") -> str:
    """Return rows as CSV, each cell a text."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def jsonl(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def new(*arguments: object) -> Result:
    """Run `tasks new` in this process; open data, unless the arguments say otherwise."""
    said = [str(argument) for argument in arguments]
    if "--data-class" not in said:
        said += ["--data-class", "open"]
    return CliRunner().invoke(main, ["tasks", "new", *said])


def made(*arguments: object) -> dict[str, Any]:
    """Return what `tasks new --json` says, and load the card that it wrote."""
    result = new(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    task = load_card(document["card"]).task()
    validation = len(task.data[Split.DEV_A]) + len(task.data[Split.DEV_B])
    sizes = [len(task.data[Split.TRAIN]), validation, len(task.data[Split.TEST])]
    assert list(document["sizes"].values()) == sizes
    assert document["labels"] == list(task.labels)
    return document


def test_a_file_of_reviews_becomes_a_leaderboard(site: Site) -> None:
    write(site.folder / "reviews.csv", table(reviews()))
    written = site.groupbench("tasks", "new", "reviews.csv", "--data-class", "open")
    assert written.returncode == 0, written.stderr
    assert "84 train, 18 validation, 18 test" in written.stdout
    # The commands it tells are the ones that are typed.
    check, run = (
        line.split()[1:] for line in written.stdout.splitlines() if line.startswith("  groupbench ")
    )
    checked = site.groupbench(*check)
    assert checked.returncode == 0, checked.stdout
    assert "0 errors" in checked.stdout
    board = site.groupbench(*run, "--runner", "majority", "--json", timeout=300)
    assert board.returncode == 0, board.stderr
    scores = {e["runner"]: e["scores"]["reviews"] for e in json.loads(board.stdout)["entries"]}
    assert scores["tfidf"]["n_test"] == 18
    assert scores["tfidf"]["metric"] == "accuracy"
    assert scores["tfidf"]["mean"] > 0.9 > scores["majority"]["mean"]


def sentence(i: int) -> dict[str, object]:
    drug = ["aspirin", "statin", "heparin"][i % 3]
    return {
        "tokens": ["patient", str(i), "took", drug, "acid"],
        "ner_tags": ["O", "O", "O", "B-Drug", "I-Drug"],
    }


def test_a_folder_of_tagged_sentences_becomes_a_leaderboard(site: Site) -> None:
    for split, start, n in (("train", 0, 60), ("dev", 60, 20), ("test", 80, 20)):
        rows = [sentence(i) for i in range(start, start + n)]
        write(site.folder / "drugs" / f"{split}.jsonl", jsonl(rows))
    written = site.groupbench(
        *("tasks", "new", "drugs", "--data-class", "private", "--domain", "clinical", "--json")
    )
    assert written.returncode == 0, written.stderr
    document = json.loads(written.stdout)
    assert document["kind"] == "token"
    assert document["labels"] == ["O", "B-Drug", "I-Drug"]
    assert document["files"]["validation"] == "dev.jsonl"
    assert document["sizes"] == {"train": 60, "validation": 20, "test": 20}
    assert document["copied"] == {}
    board = site.groupbench(
        *("run", "--tasks-dir", "drugs", "--task", "drugs", "--grouping", "single"),
        *("--runner", "tfidf", "--json"),
        timeout=300,
    )
    assert board.returncode == 0, board.stderr
    (entry,) = json.loads(board.stdout)["entries"]
    assert entry["scores"]["drugs"]["metric"] == "seqeval_f1"
    assert entry["scores"]["drugs"]["mean"] > 0.9


def labelled(label: object, i: int) -> dict[str, object]:
    return {"text": f"some words to read {i}", "label": label}


@pytest.mark.parametrize(
    ("rows", "kind", "columns", "labels"),
    [
        (
            [labelled(["no", "yes"][i % 2], i) for i in range(20)],
            "single",
            {"text": "text", "label": "label"},
            ["no", "yes"],
        ),
        (
            [labelled(10 - i % 3, i) for i in range(20)],
            "single",
            {"text": "text", "label": "label"},
            ["8", "9", "10"],
        ),
        (
            [labelled(i % 2 == 0, i) for i in range(20)],
            "single",
            {"text": "text", "label": "label"},
            ["False", "True"],
        ),
        (
            [
                {"premise": f"p {i} is", "hypothesis": f"h {i} is", "gold": "xyz"[i % 3]}
                for i in range(30)
            ],
            "pair",
            {"text": "premise", "text_pair": "hypothesis", "label": "gold"},
            ["x", "y", "z"],
        ),
        (
            [
                {"question1": f"is it {i}?", "question2": f"is this {i}?", "same": "yn"[i % 2]}
                for i in range(30)
            ],
            "pair",
            {"text": "question1", "text_pair": "question2", "label": "same"},
            ["n", "y"],
        ),
        (
            [
                {"comment": f"a few words {i}", "topics": [["art"], [], ["art", "law"]][i % 3]}
                for i in range(30)
            ],
            "multilabel",
            {"text": "comment", "labels": "topics"},
            ["art", "law"],
        ),
        (
            [
                {"words": ["in", f"Rome{i}"], "extra": [1, 2], "bio": ["O", "B-place"]}
                for i in range(20)
            ],
            "token",
            {"tokens": "words", "tags": "bio"},
            ["O", "B-place"],
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_the_kind_is_found_out(  # noqa: PLR0913, PLR0917 - a case has as many parts
    tmp_path: Path,
    suffix: str,
    rows: list[dict[str, object]],
    kind: str,
    columns: dict[str, str],
    labels: list[str],
) -> None:
    path = tmp_path / f"made{suffix}"
    if suffix == ".jsonl":
        write(path, jsonl(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    document = made(path)
    assert document["kind"] == kind
    assert document["columns"] == columns
    assert document["labels"] == labels


def test_lists_in_a_table_are_texts(tmp_path: Path) -> None:
    rows = [{"text": f"in Rome {i}", "tags": "O B-x O"} for i in range(20)]
    document = made(write(tmp_path / "ner.tsv", table(rows, "\t")))
    assert (document["kind"], document["labels"]) == ("token", ["O", "B-x"])
    several = [{"text": f"words to read {i}", "labels": ["a", "a|b", ""][i % 3]} for i in range(30)]
    document = made(write(tmp_path / "many.csv", table(several)))
    assert (document["kind"], document["labels"]) == ("multilabel", ["a", "b"])


def test_what_the_user_says_is_not_doubted(tmp_path: Path) -> None:
    rows = [
        {"a": f"one text {i}", "b": f"another {i}", "c": f"d{i // 4}", "k": f"k{i}", "s": i % 2}
        for i in range(80)
    ]
    path = write(tmp_path / "odd.csv", table(rows))
    document = made(
        *(path, "--name", "mine", "--text-column", "b", "--text-column", "a"),
        *("--label-column", "s", "--id-column", "k", "--cluster-column", "c"),
        *("--metric", "f1_binary", "--positive-label", "1", "--data-class", "credentialed"),
    )
    assert document["card"] == str(tmp_path / "mine" / "card.toml")
    assert document["kind"] == "pair"
    assert document["columns"] == {
        "text": "b", "text_pair": "a", "label": "s", "id": "k", "cluster": "c"
    }  # fmt: skip
    assert document["metrics"] == ["f1_binary"]
    assert document["data_class"] == "credentialed"
    task = load_card(document["card"]).task()
    homes: dict[str | None, set[str]] = {}
    for split in (Split.TRAIN, Split.TEST):
        for example in task.data[split]:
            homes.setdefault(example.cluster, set()).add(split)
    assert len(homes) > 10
    assert all(len(splits) == 1 for splits in homes.values())


def test_a_missing_split_is_cut_from_train_and_files_stay_where_they_are(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a_train.csv", table(reviews(100)))
    write(tmp_path / "data" / "a_test.csv", table(reviews(140)[100:]))
    document = made(tmp_path / "data")
    assert document["divide"] == {"train": 0.85, "validation": 0.15, "seed": 0}
    assert document["sizes"] == {"train": 84, "validation": 16, "test": 40}
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [
        "a_test.csv", "a_train.csv", "card.toml"
    ]  # fmt: skip
    elsewhere = made(tmp_path / "data", "--out", tmp_path / "tasks")
    assert sorted(elsewhere["copied"]) == ["a_test.csv", "a_train.csv"]
    assert (tmp_path / "tasks" / "data" / "a_test.csv").is_file()


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = write(tmp_path / "reviews.csv", table(reviews()))
    made(path)
    card = tmp_path / "reviews" / "card.toml"
    card.write_text("mine")
    again = new(path)
    assert again.exit_code == 2
    assert str(card.parent) in again.stderr
    assert "--force" in again.stderr
    assert card.read_text() == "mine"
    made(path, "--force")
    assert tomllib.loads(card.read_text())["name"] == "reviews"


def test_only_the_user_knows_the_data_class(site: Site) -> None:
    write(site.folder / "reviews.csv", table(reviews()))
    silent = site.groupbench("tasks", "new", "reviews.csv")
    assert silent.returncode == 2
    assert "--data-class" in silent.stderr
    assert not (site.folder / "reviews").exists()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "groupbench", "tasks", "new", "reviews.csv"],
        env=site.environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=site.folder,
    )
    os.write(ours, b"publik\nprivate\n")
    stdout, stderr = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0, stderr
    assert "Where may the text go?" in stderr
    assert "Where may" not in stdout
    assert load_card(site.folder / "reviews").data_class is DataClass.PRIVATE


FREE = table([labelled(f"free {i}", i) for i in range(50)])
REALS = table([labelled(i / 7, i) for i in range(50)])
GAP = table([labelled("" if i == 3 else "x", i) for i in range(20)])
NO_LABEL = table([{"text": f"some words {i}"} for i in range(20)])
TWO = table([{"text": f"w {i}", "p": i % 2, "q": "ab"[i % 2]} for i in range(20)])
NO_TEXT = table([{"n": i, "label": "ab"[i % 2]} for i in range(20)])
GOOD = table(reviews())
GONE = jsonl([*(labelled("ab"[i % 2], i) for i in range(9)), {"text": "no label"}])
UNEVEN = jsonl([sentence(0), sentence(1) | {"ner_tags": ["O", "B-Drug"]}])


@pytest.mark.parametrize(
    ("name", "text", "options", "words"),
    [
        ("a.csv", "text,label\n", [], ["a.csv", "no rows"]),
        ("a.csv", "", [], ["a.csv", "is empty"]),
        ("a.xlsx", "PK", [], ["a.xlsx", ".csv"]),
        ("a.csv", "text;label\nx;y\n", [], ["a.csv", "';'", "commas"]),
        ("a.csv", FREE, [], ["label", "50 different", "free text"]),
        ("a.csv", REALS, [], ["label", "point", "--label-column"]),
        ("a.csv", GAP, [], ["label", "empty in 1 of 20"]),
        ("a.csv", NO_LABEL, [], ["looks like labels", "--label-column"]),
        ("a.csv", TWO, [], ["several", "p, q", "--label-column"]),
        ("a.csv", NO_TEXT, [], ["no column of texts", "--text-column"]),
        ("a.csv", GOOD, ["--label-column", "vredict"], ["'vredict'", "--label-column"]),
        ("a.csv", GOOD, ["--metric", "acuracy"], ["'acuracy'", "'accuracy'"]),
        ("a.csv", GOOD, ["--metric", "seqeval_f1"], ["seqeval_f1", "token"]),
        ("a.csv", GOOD, ["--metric", "f1_binary"], ["positive_label"]),
        ("a.csv", GOOD, ["--name", "My Task"], ["'My Task'", "a-z"]),
        ("a.csv", GOOD, ["--id-column", "shop"], ["--id-column shop", "different"]),
        ("a.csv", GOOD, ["--kind", "pair", "--text-column", "text"], ["twice"]),
        ("a.csv", GOOD, [*["--text-column", "text"] * 3], ["3 times"]),
        ("a.csv", GOOD, ["--text-column", "shop", "--label-column", "shop"], ["'shop'", "both"]),
        ("a.csv", GOOD, ["--kind", "token"], ["BIO", "--label-column"]),
        ("a.csv", table(reviews(2)), [], ["a.csv", "too few"]),
        ("a.jsonl", UNEVEN, [], ["row 1", "2 of them for 5 tokens"]),
        ("a.jsonl", jsonl([{"tokens": ["a"], "tags": [3]}] * 9), [], ["tags", "B-x"]),
        ("a.jsonl", GONE, [], ["label", "empty in 1 of 10"]),
        ("absent.csv", None, [], ["absent.csv", "no such file"]),
    ],
)  # fmt: skip
def test_what_cannot_be_a_task_is_one_message_and_nothing_is_written(
    tmp_path: Path, name: str, text: str | None, options: list[str], words: list[str]
) -> None:
    path = tmp_path / name
    if text is not None:
        write(path, text)
    result = new(path, *options)
    assert result.exit_code == 2
    for word in words:
        assert word in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ([name] if text is not None else [])


def test_splits_that_cannot_be_told_apart_are_said(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.csv", table(reviews(20)))
    write(tmp_path / "a" / "two.csv", table(reviews(20)))
    assert "none named by a split" in new(tmp_path / "a").stderr
    write(tmp_path / "b" / "x_train.csv", table(reviews(20)))
    write(tmp_path / "b" / "y_train.csv", table(reviews(20)))
    assert "x_train.csv, y_train.csv" in new(tmp_path / "b").stderr
    write(tmp_path / "c" / "test.csv", table(reviews(20)))
    assert "none of train" in new(tmp_path / "c").stderr
    write(tmp_path / "d" / "train.csv", table(reviews(20)))
    write(tmp_path / "d" / "test.csv", "review_id,shop,text\nq1,a,words of a test\n")
    message = new(tmp_path / "d").stderr
    assert "test.csv: has no column 'verdict'" in message


ALIKE = [labelled(["pos", "neg", "Pos"][i % 3], i) for i in range(60)]
SPLIT_NAMED = [r | {"split": ["train", "test"][i % 2]} for i, r in enumerate(reviews())]
HEADLESS = [{"to read and": f"w {i} x", "bad": ["good", "bad"][i % 2]} for i in range(50)]


@pytest.mark.parametrize(
    ("rows", "code", "word"),
    [
        ([r | {"title": f"{r['shop']} is a shop"} for r in reviews()], "other-text", "title"),
        ([r | {"label": "xy"[i % 2]} for i, r in enumerate(reviews())], "other-label", "verdict"),
        ([r | {"patient": f"p{i // 3}"} for i, r in enumerate(reviews())], "cluster", "patient"),
        ([labelled(1 + i % 5, i) for i in range(50)], "scale", "1 to 5"),
        ([labelled(f"{1 + i % 5}.0", i) for i in range(50)], "scale", "1.0 to 5.0"),
        ([labelled(i % 2, i) for i in range(50)], "numbers", "0, 1"),
        ([labelled("xy"[i % 2] if i else "odd", i) for i in range(50)], "rare", "odd"),
        (ALIKE, "alike", "'Pos' and 'pos'"),
        (SPLIT_NAMED, "split-column", "split"),
        ([{"good": f"w {i} x", "y": ["good", "bad"][i % 2]} for i in range(50)], None, ""),
        (HEADLESS, "header", "'bad' may be a value"),
    ],
)  # fmt: skip
def test_what_the_data_do_not_tell_is_said(
    tmp_path: Path, rows: list[dict[str, object]], code: str | None, word: str
) -> None:
    document = made(write(tmp_path / "data.csv", table(rows)))
    doubts = {doubt["code"]: doubt["text"] for doubt in document["doubts"]}
    assert "domain" in doubts
    if code is None:
        assert set(doubts) == {"domain"}
    else:
        assert word in doubts[code]


def test_an_id_that_is_counted_anew_in_each_split_is_no_document(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        some = [{"idx": i, "text": f"{split} text {i}", "label": "ab"[i % 2]} for i in range(20)]
        write(tmp_path / "data" / f"{split}.jsonl", jsonl(some))
    document = made(tmp_path / "data")
    assert "id" not in document["columns"]
    assert [doubt["code"] for doubt in document["doubts"]] == ["domain"]


def test_quotes_that_do_not_quote_are_characters(tmp_path: Path) -> None:
    rows = "".join(f'"so they said {i}\t{"ab"[i % 2]}\n' for i in range(20))
    path = write(tmp_path / "quotes.tsv", f"text\tlabel\n{rows}")
    document = made(path)
    assert document["files"]["quotes"] is False
    task = load_card(document["card"]).task()
    assert all(example.text.startswith('"so') for example in task.data[Split.TEST])


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@st.composite
def cards(draw: st.DrawFn) -> TaskCard:
    """Cards whose names and labels hold whatever TOML can."""
    labels = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    text, label, row, document = draw(st.lists(names, min_size=4, max_size=4, unique=True))
    share = draw(st.integers(5, 95))
    return TaskCard(
        name="written",
        kind=Kind.SINGLE,
        labels=tuple(labels),
        metrics=("f1_binary", "accuracy"),
        domain=draw(names),
        data_class=DataClass.OPEN,
        positive_label=labels[0],
        columns={"text": text, "label": label},
        id_column=row,
        cluster_column=document,
        files={"train": "a b.csv", "test": "ü.csv"}
        | draw(st.sampled_from([{}, {"quotes": False}])),
        divide={"train": 1 - share / 100, "validation": share / 100, "seed": share},
    )


@settings(max_examples=100, deadline=None)
@given(card=cards(), why=names)
def test_a_card_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, card: TaskCard, why: str
) -> None:
    path = tmp_path_factory.mktemp("card") / "card.toml"
    reasons = dict.fromkeys(["kind", "metrics", "splits", "text", "id", "cluster"], why)
    path.write_text(card_text(card, reasons), encoding="utf-8", newline="\n")
    assert load_card(path) == replace(card, path=str(path))
