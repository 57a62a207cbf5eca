"""Metrics as `evaluate` modules, and `evaluate` modules as metrics; no sockets."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from groupbench.errors import PluginError, PolicyError, SettingError
from groupbench.metrics import MetricOptions, find_metric
from groupbench.predictions import Outcome, Predictions
from groupbench.task import Kind, Split
from groupbench.testing.toy import noisy_output, toy_task
from groupbench_metrics.adapter import as_evaluate
from groupbench_metrics.hooks import groupbench_register_metrics
from groupbench_metrics.hub import EvaluateMetric, HubMetrics, hub_metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METRICS = {metric.name: metric for metric in groupbench_register_metrics()}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"hub:evaluate-metric/rouge@{COMMIT}"


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep everything that `evaluate` may write in one folder of this module."""
    import datasets.config
    import evaluate.config

    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", folder / "modules")
        patch.setattr(evaluate.config, "HF_METRICS_CACHE", folder / "metrics")
        patch.setattr(evaluate.config, "DOWNLOADED_EVALUATE_PATH", folder / "downloads")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
        yield folder
    assert not list(folder.glob("metrics/**/*.arrow")), "nothing may be cached on disk"


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def refuse(this: socket.socket, address: tuple[str, int]) -> None:
        if address[0] != "127.0.0.1":
            raise OSError("sockets are blocked")
        connect(this, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


class Hub:
    """A stand-in for the hub on this machine: scripts by path, and what was asked for."""

    def __init__(self) -> None:
        self.scripts: dict[str, str] = {}
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                text = hub.scripts.get(self.path)
                hub.asked.append(self.path)
                self.send_response(404 if text is None else 200)
                self.send_header("Content-Length", str(len(text or "")))
                self.end_headers()

            def do_GET(self) -> None:
                self.do_HEAD()
                self.wfile.write(hub.scripts.get(self.path, "").encode())

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self, owner: str, commit: str, dtype: str, result: str) -> str:
        """Offer a module and return the name of the metric it makes."""
        text = SCRIPT.replace("DTYPE", dtype).replace("RESULT", result)
        self.scripts[f"/spaces/{owner}/counted/resolve/{commit}/counted.py"] = text
        return f"hub:{owner}/counted@{commit}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    import evaluate.config

    hub = Hub()
    monkeypatch.setattr(evaluate.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(
        evaluate.config, "HUB_EVALUATE_URL", hub.url + "/spaces/{path}/resolve/{revision}/{name}"
    )
    thread = threading.Thread(target=hub.server.serve_forever, args=(0.01,))
    thread.start()
    yield hub
    hub.server.shutdown()
    thread.join()
    hub.server.server_close()


def noisy(kind: Kind) -> tuple[Predictions, MetricOptions]:
    task = toy_task(kind)
    examples = task.data[Split.TEST]
    output = noisy_output(task, examples, np.random.default_rng(0), strength=1.0)
    options = MetricOptions(kind, task.labels, positive_label=task.labels[-1])
    return Predictions.assemble(task, examples, output), options


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.kinds])
def test_every_metric_is_an_evaluate_module_with_the_same_score(name: str) -> None:
    metric = METRICS[name]
    for kind in metric.kinds:
        predictions, options = noisy(kind)
        sides = []
        for values in (predictions.gold, predictions.predicted):
            if kind is Kind.TOKEN:
                bounds = predictions.offsets
                tags = [options.labels[i] for i in values]
                sides.append([tags[a:b] for a, b in pairwise(bounds)])
            else:
                sides.append(values.tolist())
        module = as_evaluate(metric, options)
        results = module.compute(references=sides[0], predictions=sides[1])
        assert results == {name: pytest.approx(metric.score(predictions, options))}
        assert module.name == name
        assert module.description == metric.summary


def test_modules_take_indices_rows_and_tags_without_a_task() -> None:
    accuracy = as_evaluate(METRICS["accuracy"])
    assert accuracy.compute(references=[0, 1, 1], predictions=[0, 1, -1]) == {
        "accuracy": pytest.approx(2 / 3)
    }
    rows = as_evaluate(METRICS["f1_micro"], kind=Kind.MULTILABEL)
    assert rows.compute(references=[[0, 1], [1, 1]], predictions=[[0, 1], [1, 0]]) == {
        "f1_micro": pytest.approx(0.8)
    }
    spans = as_evaluate(METRICS["seqeval_f1"])
    assert spans.compute(references=[["B-x", "O"], []], predictions=[["B-x", ""], []]) == {
        "seqeval_f1": pytest.approx(2 / 3)
    }


def test_options_go_to_compute() -> None:
    binary = as_evaluate(METRICS["f1_binary"])
    sides = {"references": [0, 1, 1, 1], "predictions": [0, 0, 1, 1]}
    assert binary.compute(**sides)["f1_binary"] == pytest.approx(4 / 5)
    assert binary.compute(**sides, positive_label=0)["f1_binary"] == pytest.approx(2 / 3)
    micro = as_evaluate(METRICS["f1_micro"])
    assert micro.compute(**sides, excluded_labels=[0])["f1_micro"] == pytest.approx(4 / 5)


def test_modules_combine_and_add_up_batches() -> None:
    import evaluate

    both = evaluate.combine([as_evaluate(METRICS["accuracy"]), as_evaluate(METRICS["f1_macro"])])
    assert both.compute(references=[0, 1, 1], predictions=[0, 1, 0]) == {
        "accuracy": pytest.approx(2 / 3),
        "f1_macro": pytest.approx(2 / 3),
    }
    named = evaluate.combine(
        {"a": as_evaluate(METRICS["accuracy"]), "b": as_evaluate(METRICS["accuracy"])},
        force_prefix=True,
    )
    assert set(named.compute(references=[0, 1], predictions=[0, 1])) == {
        "a_accuracy",
        "b_accuracy",
    }
    accuracy = as_evaluate(METRICS["accuracy"])
    accuracy.add(reference=0, prediction=1)
    accuracy.add_batch(references=[1, 1, 1], predictions=[1, 1, 1])
    assert accuracy.compute() == {"accuracy": 0.75}


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="no examples"):
        as_evaluate(METRICS["accuracy"]).compute(references=[], predictions=[])
    with pytest.raises(ValueError, match="negative label"):
        as_evaluate(METRICS["accuracy"]).compute(references=[-1], predictions=[0])
    with pytest.raises(ValueError, match="number of words"):
        as_evaluate(METRICS["seqeval_f1"]).compute(references=[["O"]], predictions=[["O", "O"]])
    with pytest.raises(ValueError, match="tag 'B-z' is none of"):
        as_evaluate(METRICS["seqeval_f1"], noisy(Kind.TOKEN)[1]).compute(
            references=[["O"]], predictions=[["B-z"]]
        )
    with pytest.raises(ValueError, match="does not judge tasks of kind token"):
        as_evaluate(METRICS["accuracy"], kind=Kind.TOKEN)


# metrics of the hub

SCRIPT = """
import datasets
import evaluate


class Counted(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="Counts. More.",
            citation="Somebody (2020)",
            inputs_description="",
            features=datasets.Features(
                {"predictions": datasets.Value("DTYPE"), "references": datasets.Value("DTYPE")}
            ),
        )

    def _compute(self, predictions, references):
        RESULT
"""


RIGHT = "right = sum(p == r for p, r in zip(predictions, references)) / len(references)"
COUNTED = f"{RIGHT}\n        return {{'counted': right}}"


def trusted(name: str, *, offline: bool = False) -> EvaluateMetric:
    return hub_metric(name, allowed=frozenset({name.partition("#")[0]}), offline=offline)


def test_a_module_of_the_hub_becomes_a_metric(hub: Hub) -> None:
    name = hub.publish("one", COMMIT, "int64", COUNTED)
    metric = trusted(name)
    predictions, options = noisy(Kind.SINGLE)
    assert metric.name == name
    assert metric.summary == "Counts. More."
    assert metric.citation == "Somebody (2020)"
    assert metric.score(predictions, options) == METRICS["accuracy"].score(predictions, options)
    missing = replace(
        predictions,
        predicted=predictions.gold,
        outcomes=(Outcome.REFUSED, *predictions.outcomes[1:]),
    )
    assert metric.score(missing, options) == pytest.approx(8 / 9)
    with pytest.raises(ValueError, match="infra"):
        metric.score(replace(missing, outcomes=(Outcome.INFRA, *predictions.outcomes[1:])), options)
    assert set(hub.asked) == set(hub.scripts), "nothing else was asked for"


def test_what_was_fetched_once_is_there_offline_and_only_that_revision(hub: Hub) -> None:
    name = hub.publish("two", COMMIT, "int64", COUNTED)
    with pytest.raises(PluginError, match="run once online"):
        trusted(name, offline=True)
    assert not hub.asked
    fetched = trusted(name)
    hub.asked.clear()
    assert trusted(name, offline=True).script_hash == fetched.script_hash
    other = hub.publish("two", COMMIT[::-1], "int64", "return {'counted': 0.5}")
    with pytest.raises(PluginError, match="run once online"):
        trusted(other, offline=True)
    assert not hub.asked
    assert trusted(other).script_hash != fetched.script_hash


def test_modules_that_take_text_get_label_names(hub: Hub) -> None:
    result = (
        "assert set(references) == {'red', 'blue', 'green'}, references\n"
        f"        {RIGHT}\n        return {{'other': right}}"
    )
    metric = trusted(hub.publish("three", COMMIT, "string", result))
    predictions, options = noisy(Kind.SINGLE)
    assert metric.score(predictions, options) == METRICS["accuracy"].score(predictions, options)


def test_a_module_with_several_numbers_needs_a_key(hub: Hub) -> None:
    name = hub.publish("four", COMMIT, "int64", "return {'a': 0.25, 'b': float('nan')}")
    predictions, options = noisy(Kind.SINGLE)
    with pytest.raises(SettingError, match="returns a, b: add one of them"):
        trusted(name).score(predictions, options)
    assert trusted(f"{name}#a").score(predictions, options) == 0.25
    with pytest.raises(ValueError, match="returned nan"):
        trusted(f"{name}#b").score(predictions, options)


def test_a_family_resolves_the_names_of_cards(hub: Hub) -> None:
    name = hub.publish("five", COMMIT, "int64", COUNTED)
    metric = find_metric(name, {"hub": HubMetrics()}, allowed=frozenset({name}))
    assert metric.name == name


def test_a_module_that_fails_is_said(hub: Hub) -> None:
    name = hub.publish("six", COMMIT, "int64", COUNTED)
    hub.scripts = dict.fromkeys(hub.scripts, "import nowhere_to_be_found")
    with pytest.raises(PluginError, match="nowhere_to_be_found"):
        trusted(name)
    with pytest.raises(PluginError, match=r"Couldn't find file at .* Is the name right"):
        trusted(f"hub:seven/missing@{COMMIT}")


def test_code_of_the_hub_runs_only_if_it_is_allowed_by_name() -> None:
    with pytest.raises(PolicyError, match=f"--trust-remote-code {NAME}") as refused:
        hub_metric(NAME, allowed=frozenset())
    assert refused.value.exit_code == 6
    with pytest.raises(PolicyError):
        hub_metric(NAME, allowed=frozenset({f"hub:evaluate-metric/bleu@{COMMIT}"}))
    with pytest.raises(PolicyError):
        find_metric(NAME, {"hub": HubMetrics()}, allowed=frozenset({"hub:evaluate-metric/rouge"}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hub:evaluate-metric/rouge", "name the commit, 40 hexadecimal digits"),
        ("hub:evaluate-metric/rouge@main", "a branch or tag can change"),
        ("hub:evaluate-metric/rouge@v1.0", "a branch or tag can change"),
        ("hub:evaluate-metric/rouge@", "name the commit"),
        ("hub:rouge", "write hub:OWNER/NAME@COMMIT"),
        (f"hub:../rouge/x@{COMMIT}", "write hub:OWNER/NAME@COMMIT"),
        ("hub:", "write hub:OWNER/NAME@COMMIT"),
    ],
)
def test_names_without_a_pinned_commit_are_refused(name: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        hub_metric(name, allowed=frozenset({name}))


def test_a_hub_out_of_reach_is_said() -> None:
    with pytest.raises(PluginError, match="hub reachable"):
        hub_metric(NAME, allowed=frozenset({NAME}))


def test_a_folder_of_the_same_name_in_the_working_directory_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "evaluate-metric" / "rouge"
    home.mkdir(parents=True)
    (home / "rouge.py").write_text("raise SystemExit('this must not run')")
    monkeypatch.chdir(tmp_path)
    for offline in (True, False):
        with pytest.raises(PluginError):
            hub_metric(NAME, allowed=frozenset({NAME}), offline=offline)


def test_the_family_of_hub_metrics_is_no_metric() -> None:
    predictions, options = noisy(Kind.SINGLE)
    with pytest.raises(ValueError, match="name hub:OWNER/NAME@COMMIT"):
        HubMetrics().score(predictions, options)
