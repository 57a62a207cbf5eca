from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupbench.cards.formats import Table, read_table
from groupbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMATS = ["parquet", "jsonl", "csv", "tsv"]
MISSING_LOOKALIKES = ["null", "NA", "None", "nan", "N/A", "", "-", "#N/A", "NULL", "true", "1e5"]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
awkward = st.sampled_from(
    ['"', '""', ',"', "a\nb", "a\r\nb", "\t", "\u2028", "\x85", "\ufeff", "\0"]
)


def write(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    """Write columns as the program that made such a file would."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        path.write_bytes("".join(lines).encode())
    else:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="," if path.suffix == ".csv" else "\t")
        writer.writerow(columns)
        writer.writerows(row.values() for row in rows)
        path.write_bytes(out.getvalue().encode())
    return path


@pytest.mark.parametrize("form", FORMATS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cells=st.lists(st.tuples(texts | awkward, texts), min_size=1, max_size=6))
def test_every_text_survives_a_round_trip(
    form: str, cells: list[tuple[str, str]], tmp_path: Path
) -> None:
    columns = {"text": [a for a, _ in cells], "other": [b for _, b in cells]}

    table = read_table(write(tmp_path / f"x.{form}", columns), ["text", "other"])

    assert table.columns == columns
    assert table.n_rows == len(cells)


@pytest.mark.parametrize("form", FORMATS)
def test_texts_that_look_like_missing_values_stay_texts(form: str, tmp_path: Path) -> None:
    path = write(
        tmp_path / f"x.{form}", {"text": MISSING_LOOKALIKES, "n": ["1"] * len(MISSING_LOOKALIKES)}
    )

    assert read_table(path, ["text"]).columns == {"text": MISSING_LOOKALIKES}


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv"])
def test_a_byte_order_mark_is_passed_over(form: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x.{form}", {"text": ["a"], "label": ["b"]})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert read_table(path, ["text", "label"]).columns == {"text": ["a"], "label": ["b"]}


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_that_is_not_utf8_is_named_with_its_place(
    form: str, mark: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / f"x.{form}", {"text": ["fine", "caf?"], "label": ["b", "b"]})
    data = mark + path.read_bytes().replace(b"?", b"\xe9")
    path.write_bytes(data)
    line = data[: data.index(b"\xe9")].count(b"\n") + 1

    with pytest.raises(DataError) as error:
        read_table(path, ["text"])

    assert str(error.value) == (
        f"{path}, line {line}: byte {data.index(0xE9)} (0xe9) is not UTF-8; save the file as UTF-8."
    )


def test_utf16_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\na,b\n", encoding="utf-16")

    with pytest.raises(DataError, match=r"is UTF-16 \(byte 0 is 0xff\); save it as UTF-8\.$"):
        read_table(path, ["text"])


@pytest.mark.parametrize("form", FORMATS)
def test_a_missing_column_is_named_with_the_nearest_one(form: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x.{form}", {"Text": ["a"], "lable": ["b"]})

    with pytest.raises(DataError, match=r"there is no column 'text'.* Did you mean 'Text'\?"):
        read_table(path, ["text"])
    with pytest.raises(DataError, match=r"there is no column 'label'.* Did you mean 'lable'\?"):
        read_table(path, ["label"])


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_rows_is_an_empty_table(form: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x.{form}", {"text": [], "label": []})

    assert read_table(path, ["text"]).n_rows == 0


def test_a_line_of_jsonl_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": "b"\n')

    with pytest.raises(
        DataError, match=r"x\.jsonl, line 3: not JSON \(.*\); each line is one object"
    ):
        read_table(path, ["text"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('["a"]', "holds a list"),
        ("null", "holds a NoneType"),
        ("[" * 100_000, "nested too deeply"),
        ('{"text": "\\ud800"}', "not JSON"),
        ('{"text": NaN}', "not JSON"),
    ],
)
def test_a_line_of_jsonl_that_is_no_object_is_refused(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(line)

    with pytest.raises(DataError, match=f"line 1: .*{said}"):
        read_table(path, ["text"])


def test_a_key_that_one_line_of_jsonl_lacks_is_named_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n{"text": "a", "Label": "b"}\n')

    with pytest.raises(DataError, match=r"line 2: there is no column 'label'.*mean 'Label'"):
        read_table(path, ["label"])


def test_rows_are_called_by_the_line_on_which_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text,label\n"two\nlines",a\n\nlast,b\n')

    table = read_table(path, ["text"])

    assert [table.row(i) for i in range(table.n_rows)] == [f"{path}, line 2", f"{path}, line 5"]


def test_a_row_of_csv_with_a_field_too_many_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\na,b\none, two,b\n")

    with pytest.raises(DataError, match="line 3: has 3 fields, the header has 2; quote fields"):
        read_table(path, ["text"])


@pytest.mark.parametrize("rows", ['a,b\n"never closed,b\n', 'a,b\n"closed" early,b\n'])
def test_wrong_quotes_are_named_and_not_swallowed(rows: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"text,label\n{rows}")

    with pytest.raises(DataError, match=r'line 3: not CSV .*"quotes = false"'):
        read_table(path, ["text"])


def test_quotes_can_be_plain_characters(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('text\tlabel\n"never closed\tb\n')

    table = read_table(path, ["text", "label"], quotes=False)

    assert table.columns == {"text": ['"never closed'], "label": ["b"]}


def test_a_text_longer_than_the_csv_module_allows_is_read(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = write(tmp_path / "x.csv", {"text": ["a" * 300_000], "label": ["b"]})

    assert len(read_table(path, ["text"]).columns["text"][0]) == 300_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_a_column_there_twice_is_refused(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{form}"
    path.write_text("text,text\na,b\n".replace(",", "," if form == "csv" else "\t"))

    with pytest.raises(DataError, match="column 'text' is there twice"):
        read_table(path, ["text"])


def test_parquet_with_a_column_there_twice_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "x.parquet")

    with pytest.raises(DataError, match="column 'text' is there 2 times"):
        read_table(tmp_path / "x.parquet", ["text"])


def test_an_empty_csv_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"")

    with pytest.raises(DataError, match="is empty; the first line names the columns"):
        read_table(tmp_path / "x.csv", ["text"])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_parquet_is_a_data_error_or_what_it_was(
    data: st.DataObject, tmp_path: Path
) -> None:
    path = write(tmp_path / "x.parquet", {"text": ["a", "b"], "labels": [["x"], []]})
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    (tmp_path / "damaged.parquet").write_bytes(content)

    try:
        table = read_table(tmp_path / "damaged.parquet", ["text", "labels"])
    except DataError as problem:
        assert "damaged.parquet" in str(problem)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(table, Table)


def test_text_in_parquet_that_is_not_utf8_is_a_data_error(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9"], pa.binary())
    bad = pa.Array.from_buffers(pa.string(), 1, raw.buffers())
    pq.write_table(pa.table({"text": bad}), tmp_path / "x.parquet")

    with pytest.raises(DataError, match=r"x\.parquet: .*UTF-?8"):
        read_table(tmp_path / "x.parquet", ["text"])


def test_a_suffix_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_bytes(b"PK")

    with pytest.raises(DataError, match=r"cannot read '.xlsx' files; use .parquet, .jsonl"):
        read_table(tmp_path / "x.xlsx", ["text"])


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")

    with pytest.raises(DataError, match=r"folder\.csv: is a folder; a file is wanted\.$"):
        read_table(tmp_path / "folder.csv", ["text"])
    with pytest.raises(DataError, match=r"pipe\.csv: is not a regular file"):
        read_table(tmp_path / "pipe.csv", ["text"])
    with pytest.raises(DataError, match=r"absent\.csv: there is no such file"):
        read_table(tmp_path / "absent.csv", ["text"])


def test_a_file_that_may_not_be_read_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.csv", {"text": ["a"]})

    def refuse(_: object) -> bytes:
        raise PermissionError(13, "Permission denied")  # root may read whatever the mode says

    monkeypatch.setattr(type(path), "read_bytes", refuse)

    with pytest.raises(DataError, match=r"x\.csv: cannot be read \(Permission denied\)"):
        read_table(path, ["text"])
