"""Experiment files: what is read, and what is said when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from groupbench.errors import ExperimentError, SettingError
from groupbench.experiment import load_experiment
from groupbench.settings import Spec

WHOLE = """
schema = "groupbench/experiment/1"
suite = "calibration"
tasks_dirs = ["cards"]
seeds = [0, 1]
baseline = "single"
executor = "local:workers=1"
[[grouping]]
name = "pvi"
margin = 0.2
[[runner]]
name = "encoder"
model = "tiny"
groupings = ["pvi"]
[limits]
max_hours = 2
fit_memory_gb = 4.5
[caps]
train = 100
[[allow]]
task = "notes"
runner = "openai"
reason = "contract"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "experiment.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    experiment = load_experiment(written(tmp_path, WHOLE))
    assert experiment.suite == "calibration"
    assert experiment.seeds == (0, 1)
    assert experiment.groupings == (Spec("pvi", {"margin": 0.2}),)
    assert experiment.runners[0].spec == Spec("encoder", {"model": "tiny"})
    assert experiment.runners[0].groupings == ("pvi",)
    assert experiment.limits.max_hours == 2
    assert experiment.limits.fit_memory_gb == 4.5
    assert experiment.caps.train == 100
    assert experiment.allow[0].reason == "contract"
    assert Path(experiment.tasks_dirs[0]) == tmp_path / "cards"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("suite = ", ["not valid TOML"]),
        ('schema = "groupbench/experiment/9"', ["schema", "experiment/1"]),
        ("sede = [1]", ["'sede'", "'seeds'"]),
        ("seeds = []", ["seeds", "at least one"]),
        ("seeds = [1, 1]", ["seeds", "distinct"]),
        ("seeds = [4294967296]", ["seeds", "4294967296 is above 4294967295"]),
        ("seeds = [-1]", ["seeds", "not negative"]),
        ('seeds = ["0"]', ["seeds", "whole numbers"]),
        ("seeds = [true]", ["seeds", "whole numbers"]),
        ("suite = 3", ["suite", "3"]),
        ('suite = "a"\ntasks = ["b"]', ["either suite or tasks"]),
        ("[[runner]]\nmodel = 'x'", ["[[runner]]", "no name"]),
        ("[runner]\nname = 'x'", ["[[runner]]"]),
        ("[limits]\nmax_hour = 1", ["'max_hour'", "'max_hours'"]),
        ("[limits]\nmax_hours = 'x'", ["[limits] max_hours = 'x' must be a number"]),
        ("[limits]\nmax_hours = -1", ["max_hours = -1", "0 or more"]),
        ("[limits]\nmax_usd = nan", ["max_usd = nan", "no limit"]),
        ("[limits]\nmax_usd = inf", ["max_usd = inf", "no limit"]),
        ("[limits]\nfit_minutes = 0", ["fit_minutes = 0", "kill every fit"]),
        ("[caps]\ntrain = 1.5", ["[caps] train = 1.5 must be a whole number"]),
        ("[caps]\ntrain = 1", ["caps.train", "at least 2"]),
        ("[[allow]]\ntask = 'a'", ["[[allow]]", "reason"]),
    ],
)
def test_every_fault_is_named_with_its_mend(tmp_path: Path, text: str, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message


def test_a_file_that_is_not_there_or_not_text_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_experiment(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b'suite = "\xe9"')
    with pytest.raises(ExperimentError, match="not UTF-8 at byte 9"):
        load_experiment(tmp_path / "latin.toml")


@pytest.mark.parametrize("text", ["a:b", "a:=1", 'a:b="c', "a:b=[1"])
def test_a_spec_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        Spec.parse(text)


def test_values_of_specs_are_toml_scalars_or_bare_words() -> None:
    spec = Spec.parse('x:a=1,b=0.5,c=true,d=word,e="a, b",f=[1, 2],g=http://h:1/v1?x=1')
    assert spec.settings == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": "word",
        "e": "a, b",
        "f": [1, 2],
        "g": "http://h:1/v1?x=1",
    }
