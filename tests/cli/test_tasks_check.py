"""`groupbench tasks check`: cards, rows, splits and tasks against each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sites import write_tasks

from groupbench.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sites import Site

SECRET = "Mrs Underhill was seen on the ward"  # noqa: S105 - a patient's, not a password


def check(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Return what `tasks check --json` says."""
    said = [str(argument) for argument in arguments]
    result = CliRunner().invoke(main, ["tasks", "check", *said, "--json"])
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["schema"] == "groupbench/task-checks/1"
    assert document["passed"] is (code == 0)
    levels = ["error", "warning", "note"]
    order = [levels.index(finding["level"]) for finding in document["findings"]]
    assert order == sorted(order)
    return document


def found(
    document: Mapping[str, Any], task: str | None = None
) -> dict[tuple[str, str | None], Any]:
    """Return the findings by code and split."""
    return {
        (f["code"], f["split"]): f
        for f in document["findings"]
        if task is None or f["task"] == task
    }


def one_task(
    folder: Path,
    train: Sequence[object],
    validation: Sequence[object],
    test: Sequence[object],
    **card: object,
) -> Path:
    """Write one task; rows are texts with labels, ``(text, label)``, or whole rows."""
    facts: dict[str, object] = {
        "name": "one",
        "kind": "single",
        "labels": ["no", "yes"],
        "metrics": ["accuracy"],
    }
    facts |= {"data_class": "open"} | card
    home = folder / "one"
    home.mkdir(parents=True)
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())
    (home / "card.toml").write_text(lines, encoding="utf-8")
    for split, rows in (("train", train), ("validation", validation), ("test", test)):
        whole = [
            dict(zip(("text", "label"), r, strict=True)) if isinstance(r, tuple) else r
            for r in rows
        ]
        text = "".join(json.dumps(row) + "\n" for row in whole)
        (home / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


def rows(start: str, n: int = 220) -> list[tuple[str, str]]:
    return [(f"{start} item {i}", ["no", "yes"][i % 2]) for i in range(n)]


def test_a_sound_task_has_no_findings_and_a_table_of_its_labels(tmp_path: Path) -> None:
    folder = one_task(tmp_path, rows("a"), rows("b"), rows("c"))
    document = check(folder)
    assert document["findings"] == []
    (task,) = document["tasks"]
    assert task["sizes"] == {"train": 220, "validation": 220, "test": 220}
    assert task["labels"]["yes"] == {"train": 110, "validation": 110, "test": 110}
    shown = CliRunner().invoke(main, ["tasks", "check", str(folder)])
    assert shown.exit_code == 0
    assert "1 task checked: 0 errors, 0 warnings, 0 notes." in shown.stdout
    assert [line.split() for line in shown.stdout.splitlines() if "yes" in line] == [
        ["yes", "110", "110", "110"]
    ]


def test_copies_are_found_in_a_split_and_across_splits(tmp_path: Path) -> None:
    train = [*rows("a"), ("A item 0!", "no"), ("b ITEM 4", "no"), ("c item 5", "yes")]
    test = [*rows("c"), ("b item 7", "yes"), ("a item 1", "no")]
    findings = found(check(one_task(tmp_path, train, rows("b"), test)))
    assert set(findings) == {
        ("duplicate", "train"),
        ("duplicate-train-validation", "validation"),
        ("duplicate-train-test", "test"),
        ("duplicate-validation-test", "test"),
        ("conflicting-labels", None),
    }
    assert findings["duplicate", "train"]["rows"] == ["train-220"]
    assert findings["duplicate-train-validation", "validation"]["rows"] == ["validation-4"]
    assert findings["duplicate-train-test", "test"]["count"] == 2
    assert findings["duplicate-train-test", "test"]["rows"] == ["test-5", "test-221"]
    assert findings["duplicate-validation-test", "test"]["rows"] == ["test-220"]
    assert findings["conflicting-labels", None]["rows"] == ["train-1", "test-221"]


def test_a_patient_in_two_splits_is_found(tmp_path: Path) -> None:
    def of(start: str, patient: str) -> list[dict[str, str]]:
        return [
            {"text": text, "label": label, "patient": f"{patient}{i // 2}"}
            for i, (text, label) in enumerate(rows(start))
        ]

    test = [*of("c", "r"), {"text": "one more", "label": "no", "patient": "p7"}]
    folder = one_task(tmp_path, of("a", "p"), of("b", "q"), test, cluster_column="patient")
    findings = found(check(folder))
    # 110 patients in validation are half as much as 220 rows would be.
    assert set(findings) == {("cluster-train-test", "test"), ("small-validation", "validation")}
    assert findings["cluster-train-test", "test"]["rows"] == ["test-220"]
    assert findings["small-validation", "validation"]["count"] == 55


def test_labels_that_train_or_test_lacks_are_found(tmp_path: Path) -> None:
    train = [*rows("a"), ("x", "rare")]
    test = [*rows("c"), ("y", "new"), ("z", "new")]
    labels = ["no", "yes", "rare", "new", "never"]
    findings = found(check(one_task(tmp_path, train, rows("b"), test, labels=labels)))
    assert findings["label-unseen", "test"]["rows"] == ["test-220", "test-221"]
    assert findings["label-unused", None]["text"].endswith(" never.")
    assert findings["label-rare", "train"]["text"].endswith(" rare.")
    assert findings["label-untested", "test"]["text"].endswith(" rare.")
    assert len(findings) == 4


def test_small_splits_and_a_single_label_are_said(tmp_path: Path) -> None:
    train = [(f"a {i}", "yes") for i in range(20)]
    findings = found(check(one_task(tmp_path, train, rows("b", 10), rows("c", 16))))
    assert findings["small-validation", "validation"]["count"] == 5
    assert findings["small-test", "test"]["count"] == 16
    assert findings["one-label", "train"]["level"] == "warning"


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        ({"text": " ", "label": "no"}, "empty-text", "text is empty"),
        ({"text": None, "label": "no"}, "missing", "text is null"),
        ({"text": 3.5, "label": "no"}, "cell", "text is a float and not a text"),
        ({"text": SECRET, "label": SECRET}, "label-unknown", "label holds what is not a label"),
        ({"text": SECRET}, "data", ""),
    ],
)
@pytest.mark.parametrize("data_class", ["open", "private"])
def test_every_bad_row_is_found_and_private_text_is_never_shown(
    tmp_path: Path, data_class: str, row: dict[str, object], code: str, words: str
) -> None:
    train = [*rows("a"), row, *rows("b"), row]
    folder = one_task(tmp_path, train, rows("c"), rows("d"), data_class=data_class)
    result = CliRunner().invoke(main, ["tasks", "check", str(folder)])
    assert result.exit_code == 2
    assert "Error: checks failed: one." in result.stderr
    finding = found(check(folder, code=2))[code, None if code == "data" else "train"]
    if code != "data":
        assert words in finding["text"]
        assert finding["count"] == 2
        assert finding["rows"] == ["line 221", "line 442"]
    for said in (result.output, finding["text"]):
        assert ("Underhill" in said) is (data_class == "open" and code == "label-unknown")
    if data_class == "private" and code == "data":
        assert "tasks show one" in finding["text"]


def test_all_cards_are_checked_not_only_the_first_that_is_wrong(tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path, ["alpha", "beta", "gamma", "delta"], n=220)
    for name, change in (("alpha", 'labels = ["no", "no"]\n'), ("beta", "labels = 3\n")):
        card = tasks / name / "card.toml"
        card.write_text(card.read_text().replace('labels = ["no", "yes"]\n', change))
    card = tasks / "gamma" / "card.toml"
    card.write_text(card.read_text().replace('["accuracy"]', '["acuracy", "seqeval_f1"]'))
    (tasks / "zeta").mkdir()
    (tasks / "zeta" / "card.toml").write_text((tasks / "delta" / "card.toml").read_text())
    document = check(tasks, code=2)
    errors = [(f["code"], f["task"]) for f in document["findings"] if f["level"] == "error"]
    assert sorted(errors) == [
        ("card", str(tasks / "alpha" / "card.toml")),
        ("card", str(tasks / "beta" / "card.toml")),
        ("metric-unfit", "gamma"),
        ("metric-unknown", "gamma"),
        ("name-taken", str(tasks / "zeta" / "card.toml")),
    ]
    assert [task["task"] for task in document["tasks"]] == ["delta", "gamma"]
    alone = check("delta", "--tasks-dir", tasks / "delta")
    assert [task["task"] for task in alone["tasks"]] == ["delta"]


def test_long_rows_are_counted_by_words(tmp_path: Path) -> None:
    train = [*rows("a"), ("word " * 99, "no"), ("word " * 101, "no")]
    folder = one_task(tmp_path, train, rows("b"), rows("c"))
    assert found(check(folder)) == {}
    findings = found(check(folder, "--max-length", "130"))
    assert list(findings) == [("too-long", "train")]
    assert findings["too-long", "train"]["rows"] == ["train-221"]
    assert "words x 1.3" in findings["too-long", "train"]["text"]


def test_long_rows_are_counted_by_a_tokenizer(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import models, pre_tokenizers

    letters = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - no secret
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.save(str(tmp_path / "tokenizer.json"))
    train = [*rows("a"), ("w" * 40, "no")]
    folder = one_task(tmp_path / "tasks", train, rows("b"), rows("c"))
    findings = found(check(folder, "--max-length", "30", "--tokenizer", tmp_path))
    assert findings["too-long", "train"]["rows"] == ["train-220"]
    wrong = CliRunner().invoke(main, ["tasks", "check", str(folder), "--tokenizer", str(folder)])
    assert wrong.exit_code == 2
    assert "tokenizer.json" in wrong.stderr


def test_tags_that_begin_inside_are_said(tmp_path: Path) -> None:
    def tagged(start: str, n: int) -> list[dict[str, object]]:
        return [{"tokens": [start, str(i)], "tags": ["B-x", "I-x"]} for i in range(n)]

    odd = [{"tokens": ["odd", "one"], "tags": ["O", "I-x"]}]
    card = {"kind": "token", "labels": ["O", "B-x", "I-x"], "metrics": ["seqeval_f1"]}
    folder = one_task(
        tmp_path, [*tagged("a", 220), *odd], tagged("b", 220), tagged("c", 220), **card
    )
    findings = found(check(folder))
    assert findings["tag-irregular", "train"]["rows"] == ["train-220"]


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": text, "label": "yes"}) + "\n")


def test_a_copy_in_another_task_is_found_kept_out_and_said(
    fixture_site: Site, tmp_path: Path
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=30)
    for _ in range(2):
        append(tasks / "alpha" / "train.jsonl", "Beta test, item 3")
    append(tasks / "alpha" / "train.jsonl", "beta validation item 4")
    findings = found(check(tasks), "alpha")
    leak = findings["train-in-other-test", "train"]
    assert (leak["count"], leak["other"], leak["rows"]) == (2, "beta", ["train-30", "train-31"])
    assert findings["train-in-other-validation", "train"]["rows"] == ["train-32"]
    assert not {code for code, _ in found(check(tasks), "beta")} & {"train-in-other-test"}

    common = ["run", "--tasks-dir", tasks, "--task", "alpha", "--task", "beta"]
    common += ["--grouping", "single", "--grouping", "all", "--runner", "counting"]
    common += ["--store", tmp_path / "store"]
    process = fixture_site.groupbench(*common, "--json")
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    by_grouping = {cell["grouping"]: cell for cell in document["cells"]}
    # The runner tells how many rows it was given to train on.
    assert by_grouping["single"]["training"]["example_steps"] == 33 + 30
    assert by_grouping["all"]["training"]["example_steps"] == 31 + 30
    assert by_grouping["all"]["left_out"] == {"alpha": leak["count"]}
    assert by_grouping["single"]["left_out"] == {}
    shown = " ".join(fixture_site.groupbench(*common).stdout.split())
    assert "kept out of joint models because their text is in another task's test" in shown
    assert "2 of alpha" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--tasks-dir", "--suite"]),
        (["alhpa"], ["alhpa"]),
        (["{empty}"], ["card.toml", "tasks new"]),
        (["absent/folder"], ["absent/folder", "no such folder"]),
        (["--suite", "calibratoin"], ["'calibration'"]),
        (["--max-length", "0"], ["--max-length"]),
    ],
)
def test_what_cannot_be_checked_is_one_message(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    said = [argument.format(empty=tmp_path) for argument in arguments]
    result = CliRunner().invoke(main, ["tasks", "check", *said])
    assert result.exit_code == 2
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr


def test_tasks_of_plugins_and_suites_can_be_checked() -> None:
    document = check("f0_cue")
    assert document["findings"] == []
    assert document["tasks"][0]["sizes"]["train"] > 100
    named = check("--suite", "calibration")
    assert len(named["tasks"]) == 9


def breaks(name: str) -> Callable[[Path], None]:
    def damage(task: Path) -> None:
        (task / name).unlink()

    return damage


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_a_missing_file_is_an_error_of_its_task_alone(tmp_path: Path, name: str) -> None:
    tasks = write_tasks(tmp_path, ["alpha", "beta"], n=220)
    breaks(name)(tasks / "alpha")
    document = check(tasks, code=2)
    (finding,) = document["findings"]
    assert (finding["code"], finding["task"]) == ("data", "alpha")
    assert name.partition(".")[0] in finding["text"]
    assert [task["task"] for task in document["tasks"]] == ["beta"]
