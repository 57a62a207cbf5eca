"""The base of prompted runners, with a model of the test's own: no weights, no server."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping  # noqa: TC003 - read at runtime
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from llamas import llama3_tokenizer
from prompting import LABELS, an_example, make_task, train_of

import groupbench.llm
from groupbench.errors import CardError, SettingError
from groupbench.keys import FitOrder, RunnerIdentity
from groupbench.llm import (
    Abilities,
    ChatForm,
    Form,
    LabelReads,
    MessagesForm,
    Model,
    ModelUse,
    Prompt,
    PromptedRunner,
    Question,
    Reason,
    Said,
)
from groupbench.llm.prompted import DECIDING
from groupbench.predictions import NO_ANSWER, Outcome, Output, Predictions
from groupbench.runner import FitRequest, FitResult, Place, Resources, TaskInput
from groupbench.settings import describe, label
from groupbench.task import Example, Kind, Materialised, Split, Task
from groupbench.testing.checks import check_names_itself, check_settings_survive_text
from groupbench.testing.runner import (
    check_counts_its_costs,
    check_does_not_look_at_golds_it_must_predict,
    check_is_deterministic,
    check_little_data_are_no_trouble,
    check_odd_texts_are_no_trouble,
    check_predicts_each_example_alone,
    check_predicts_every_kind,
    check_says_what_it_is,
)

EVERYTHING = frozenset(
    {"token_prompts", "label_reads", "choice", "json_schema", "json_compact", "chat"}
)
PRIOR = {"negative": -1.0, "positive": -9.0, "neutral": -4.0, "yes": -3.0, "no": -1.0}
"""Nats that the pretended model gives each label whatever the input says."""


def evidence(question: Question, name: str) -> float:
    """Return the nats that the pretended model finds in the input's last line."""
    asked = question.text.rsplit("Sentence:", 1)[-1]
    told = question.label if question.label is not None else name
    there = f"is {told}." in asked
    return (5.0 if there else 0.0) if name != "no" else (0.0 if there else 5.0)


class Pretended:
    """A model that knows what its input says, and leans to some labels."""

    def __init__(
        self, abilities: Abilities, say: Callable[[Prompt, Question], Said | Reason]
    ) -> None:
        self.abilities = abilities
        self.say = say
        self.sent: list[Prompt] = []
        self.most_held = 0

    def read(self, prompts: Iterable[Prompt]) -> Iterator[tuple[LabelReads, ...] | Reason]:
        for prompt in prompts:
            self.sent.append(prompt)
            if "forbidden" in prompt.text:
                yield Reason.CONTENT_FILTER
                continue
            yield tuple(self._reads(question) for question in prompt.questions)

    @staticmethod
    def _reads(question: Question) -> LabelReads:
        sums = [PRIOR[name] + evidence(question, name) for name in question.continuations]
        n = [len(ids) for ids in question.continuations.values()]
        return LabelReads(np.array(sums), np.array(sums) / np.array(n), np.array(n))

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[tuple[Said, ...] | Reason]:
        for prompt in prompts:
            self.sent.append(prompt)
            said = [self.say(prompt, question) for question in prompt.questions]
            refused = next((each for each in said if isinstance(each, Reason)), None)
            yield refused or tuple(each for each in said if isinstance(each, Said))

    def use(self) -> ModelUse:
        return ModelUse(usd=0.25, n_parameters=7, facts={"requests": len(self.sent)})


def right(prompt: Prompt, question: Question) -> Said:
    """Answer by what the input says, in the form that was asked for."""
    told = [name for name in LABELS[Kind.SINGLE] if f"is {name}." in question.text]
    text = told[0] if told else "neutral"
    if question.label is not None:
        text = "yes" if f"is {question.label}." in question.text else "no"
    if prompt.schema is not None and "label" in str(prompt.schema):
        text = json.dumps({"label": text})
    return Said(text, "stop")


OPENED: list[Pretended] = []


@dataclass(frozen=True)
class Provider(PromptedRunner):
    """An outside provider's whole plugin."""

    name: ClassVar[str] = "provider"
    summary: ClassVar[str] = "a model that is pretended"

    model: str = field(default="large", metadata={"in_label": True})
    """The provider's name of the model."""
    messages: bool = False
    """Messages are sent, not tokens."""
    limit: int = 2048
    """Of the model."""

    say: ClassVar[Callable[[Prompt, Question], Said | Reason]] = staticmethod(right)

    def availability(self) -> str | None:
        return None

    def place(self) -> Place:
        return Place.LOCAL

    def resources(self, group: object, suite: object) -> Resources:
        del group, suite
        return Resources()

    def identity(self) -> Mapping[str, Any]:
        return {"snapshot": self.model}

    def abilities(self) -> Abilities:
        form: Form = MessagesForm() if self.messages else ChatForm(llama3_tokenizer())
        can = EVERYTHING - ({"token_prompts", "label_reads"} if self.messages else set())
        return Abilities(form, self.limit, can)

    @contextmanager
    def open(self, request: FitRequest) -> Iterator[Model]:
        del request
        OPENED.append(Pretended(self.abilities(), type(self).say))
        yield OPENED[-1]


@pytest.fixture(autouse=True)
def _saying(monkeypatch: pytest.MonkeyPatch) -> None:
    OPENED.clear()
    monkeypatch.setattr(Provider, "say", staticmethod(right))


def says(monkeypatch: pytest.MonkeyPatch, say: Callable[[Prompt, Question], Any]) -> None:
    monkeypatch.setattr(Provider, "say", staticmethod(say))


def single(n: int = 9) -> list[Example]:
    names = LABELS[Kind.SINGLE]
    return [Example(f"t{i}", f"Number {i} is {names[i % 3]}.", None) for i in range(n)]


def given(
    task: Task, examples: Iterable[Example], dev_a: Iterable[Example] = (), n_train: int = 24
) -> TaskInput:
    return TaskInput(
        task, tuple(train_of(task.kind, n_train)), tuple(dev_a), {Split.TEST: tuple(examples)}
    )


def fitted(
    runner: Provider, examples: Iterable[Example], task: Task | None = None, **more: Any
) -> tuple[Output, FitResult]:
    task = task or make_task()
    result = runner.fit(FitRequest((given(task, examples, **more),), seed=more.get("seed", 0)))
    return result.outputs[task.name][Split.TEST], result


def facts(result: FitResult, task: str = "mood") -> Any:
    prompts: Any = result.training["prompts"]
    return prompts[task]


@pytest.mark.parametrize(
    "check",
    [
        check_names_itself,
        check_settings_survive_text,
        check_says_what_it_is,
        check_is_deterministic,
        check_does_not_look_at_golds_it_must_predict,
        check_predicts_each_example_alone,
        check_counts_its_costs,
        check_predicts_every_kind,
        check_odd_texts_are_no_trouble,
        check_little_data_are_no_trouble,
    ],
)
def test_a_provider_keeps_the_contract_of_runners(check: Callable[[Any], None]) -> None:
    check(Provider(messages=True))


def test_settings_of_the_base_are_described_and_the_model_comes_first() -> None:
    described = {setting.name: setting for setting in describe(Provider)}
    assert next(iter(described)) == "model"
    assert described["model"].summary == "The provider's name of the model."
    assert all(setting.summary for setting in described.values())
    assert label(Provider(shots=4)) == "provider:model=large,shots=4"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shots": 33}, "shots = 33 is not one of 0 to 32"),
        ({"max_length": 0}, "max_length = 0 must be at least 1"),
        ({"max_output": -1}, "max_output = -1 must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Provider(**settings)


def test_without_shots_and_shuffled_labels_seeds_change_nothing() -> None:
    assert not Provider().seeded
    assert Provider(shots=1).seeded
    assert Provider(label_order="seeded").seeded
    assert replace(Provider(shots=2), shots=0).seeded is False


def test_scores_become_predictions_with_probabilities() -> None:
    output, result = fitted(Provider(), single())
    # The prior of -1 against -9 outweighs the 5 nats of evidence for "positive", not for "neutral".
    assert output.predicted.tolist() == [0, 0, 2] * 3
    assert output.log_probs is not None
    assert np.exp(output.log_probs).sum(axis=1) == pytest.approx(1)
    expected = np.array([-1, -4, -4]) - np.logaddexp.reduce([-1, -4, -4])
    assert output.log_probs[1] == pytest.approx(expected)
    assert facts(result)["mode"] == "score"
    assert facts(result)["splits"]["test"]["outcomes"] == {"ok": 9}
    assert result.costs.usd == 0.25
    assert result.costs.n_predicted == 9
    assert result.training["model"] == {"requests": 10}  # nine, and the null prompt
    assert np.array(facts(result)["null"]) == pytest.approx(
        np.array([[-1, -9, -4]]) - np.logaddexp.reduce([-1, -9, -4]), abs=1e-5
    )


@pytest.mark.parametrize(("calibration", "n_more"), [("content_free", 3), ("pmi", 1)])
def test_calibration_takes_the_prior_off_and_both_results_are_kept(
    calibration: Any, n_more: int
) -> None:
    plain, before = fitted(Provider(), single())
    output, result = fitted(Provider(calibration=calibration), single())
    assert output.predicted.tolist() == [0, 1, 2] * 3
    assert facts(result)["splits"]["test"]["changed_by_calibration"] == 3
    assert facts(result)["calibration"] == calibration
    assert len(OPENED[-1].sent) == len(OPENED[-2].sent) + n_more
    kept, other = result.arrays["label-scores"], before.arrays["label-scores"]
    assert kept["mood.test.sums"] == pytest.approx(other["mood.test.sums"])
    scores = kept["mood.test.sums"]
    assert scores.argmax(axis=1).tolist() == plain.predicted.tolist()
    assert kept[f"mood.{calibration}.sums"].shape == (n_more, 3)


def test_normalisation_is_computed_from_what_was_read() -> None:
    output, result = fitted(Provider(normalisation="per_byte"), single())
    sums = result.arrays["label-scores"]["mood.test.sums"]
    n_bytes = np.array([len(name) for name in LABELS[Kind.SINGLE]])
    assert output.predicted.tolist() == (sums / n_bytes).argmax(axis=1).tolist()


def test_equal_scores_are_ties_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIOR, "positive", -1.0)
    output, result = fitted(Provider(), [Example("a", "Nothing.", None)])
    assert output.predicted.tolist() == [0]
    assert facts(result)["splits"]["test"]["ties"] == 1


def test_a_prompt_that_is_refused_or_too_long_is_no_answer_and_harms_no_other() -> None:
    rows = single(3)
    rows.insert(1, Example("bad", "This is forbidden.", None))
    rows.append(Example("long", "word " * 3000, None))
    output, result = fitted(Provider(on_long="refuse"), rows)
    assert output.outcomes == (
        Outcome.OK, Outcome.REFUSED, Outcome.OK, Outcome.OK, Outcome.TRUNCATED,
    )  # fmt: skip
    assert output.predicted.tolist() == [0, NO_ANSWER, 0, 2, NO_ANSWER]
    tally = facts(result)["splits"]["test"]
    assert tally["reasons"] == {"bad": "content_filter", "long": "prompt_too_long"}
    assert "long" not in {prompt.id for prompt in OPENED[-1].sent}

    output, result = fitted(Provider(), rows)
    assert output.input_cut == (False, False, False, False, True)
    assert output.outcomes is not None
    assert output.outcomes[-1] is Outcome.OK
    assert facts(result)["splits"]["test"]["inputs_cut"] == 1


@pytest.mark.parametrize(("mode", "messages"), [("choice", False), ("json", True), ("text", True)])
def test_written_answers_are_read(mode: Any, messages: bool) -> None:
    output, result = fitted(Provider(mode=mode, messages=messages), single())
    assert output.predicted.tolist() == [0, 1, 2] * 3
    assert output.log_probs is None
    assert output.raw is not None
    assert "negative" in output.raw[0]
    assert facts(result)["mode"] == mode
    assert facts(result)["splits"]["test"]["read_exact"] == 9
    sent = OPENED[-1].sent[0]
    assert (sent.schema is not None) == (mode == "json")
    assert (sent.questions[0].choices != {}) == (mode == "choice")


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        (Said("maybe", "stop"), Outcome.INVALID, "unparsable"),
        (Said("positive or negative", "stop"), Outcome.INVALID, "ambiguous"),
        (Said("", "stop"), Outcome.INVALID, "empty"),
        (Said("posi", "length"), Outcome.TRUNCATED, "length"),
        (Said(None, "stop", refusal="I will not."), Outcome.REFUSED, "refusal"),
        (Said(None, "content_filter"), Outcome.REFUSED, "content_filter"),
        (Reason.PROMPT_TOO_LONG, Outcome.TRUNCATED, "prompt_too_long"),
    ],
)
def test_each_bad_answer_has_its_outcome_and_reason(
    monkeypatch: pytest.MonkeyPatch, said: Said | Reason, outcome: Outcome, reason: str
) -> None:
    says(monkeypatch, lambda prompt, q: said if prompt.id == "t1" else right(prompt, q))
    output, result = fitted(Provider(mode="text", messages=True), single(3))
    assert output.outcomes == (Outcome.OK, outcome, Outcome.OK)
    assert output.predicted.tolist() == [0, NO_ANSWER, 2]
    assert facts(result)["splits"]["test"]["reasons"] == {"t1": reason}


def test_entities_are_aligned_and_bad_spans_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = [{"text": "aspirin", "type": "drug"}, {"text": "nowhere", "type": "drug"}]
    says(monkeypatch, lambda *_: Said(json.dumps({"entities": spans}), "stop"))
    task = make_task(Kind.TOKEN)
    output, result = fitted(Provider(messages=True), [an_example(Kind.TOKEN)], task)
    assert output.predicted.tolist() == [1, 0, 0, 0, 0, 0]
    assert facts(result)["mode"] == "json"
    tally = facts(result)["splits"]["test"]
    assert (tally["items_ok"], tally["items_not_in_text"]) == (1, 1)


def multilabel(n: int = 8) -> tuple[Task, list[Example]]:
    task = make_task(Kind.MULTILABEL, ("joy", "fear"))
    rows = []
    for i in range(n):
        held = tuple(k for k, there in enumerate((i % 2, i % 4 > 1)) if there)
        said = " ".join(f"is {task.labels[k]}." for k in held)
        rows.append(Example(f"m{i}", f"Number {i} {said}", held))
    return task, rows


def test_labels_of_a_multilabel_task_are_scored_one_by_one() -> None:
    task, rows = multilabel()
    request = FitRequest((TaskInput(task, (), (), {Split.TEST: tuple(rows)}),), seed=0)
    result = Provider().fit(request)
    output = result.outputs["mood"][Split.TEST]
    made = Predictions.assemble(task, rows, output)
    assert made.predicted.tolist() == made.gold.tolist()
    assert result.arrays["label-scores"]["mood.test.sums"].shape == (len(rows) * 2, 2)


def test_a_threshold_is_fitted_on_dev_a_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIOR, "yes", -8.0)  # "no" wins always, though less where a label is there
    task, rows = multilabel()
    request = FitRequest((TaskInput(task, (), tuple(rows), {Split.TEST: tuple(rows)}),), seed=0)
    at_half = Provider().fit(request)
    assert at_half.outputs["mood"][Split.TEST].predicted.sum() == 0
    fit = Provider(threshold="fitted").fit(request)
    made = Predictions.assemble(task, rows, fit.outputs["mood"][Split.TEST])
    assert made.predicted.tolist() == made.gold.tolist()
    assert 0 < facts(fit)["threshold"] < 0.5


def test_shots_are_fixed_for_a_seed_or_drawn_for_each_example() -> None:
    def shown(**settings: Any) -> list[tuple[str, ...]]:
        runner = Provider(mode="text", shots=4, **settings)
        request = FitRequest((given(make_task(), single()),), seed=settings.get("seed", 0))
        runner.fit(request)
        return [prompt.shots for prompt in OPENED[-1].sent]

    fixed = shown()
    assert len(set(fixed)) == 1
    assert len(fixed[0]) == 4
    assert len(set(shown(shot_set="per_example"))) > 1
    assert shown(shot_set="per_example") == shown(shot_set="per_example")


def test_fewer_shots_than_asked_for_are_a_warning() -> None:
    _, result = fitted(Provider(mode="text", shots=8), single(), n_train=3)
    assert any("only 3 of 8 shots" in warning for warning in result.warnings)


def test_only_what_is_in_flight_is_held() -> None:
    alive = 0
    most = 0

    class Slow(Pretended):
        def generate(self, prompts: Iterable[Prompt]) -> Iterator[tuple[Said, ...] | Reason]:
            nonlocal alive, most
            for prompt in prompts:
                alive += 1
                most = max(most, alive)
                yield (Said("neutral", "stop"),) * len(prompt.questions)
                alive -= 1

    from groupbench.llm.asked import ask

    model = Slow(Provider().abilities(), right)
    prompts = (Prompt(str(i), (), {}, (), "x", 1) for i in range(1000))
    for i, (prompt, _) in enumerate(ask(prompts, model.generate)):
        assert prompt.id == str(i)
    assert most == 1


@pytest.mark.parametrize("n", [1, 3])
def test_a_model_that_does_not_answer_each_prompt_once_is_found_out(n: int) -> None:
    from groupbench.llm.asked import ask

    def answers(prompts: Iterable[Prompt]) -> Iterator[int | Reason]:
        return iter(range(n)) if n == 3 else iter([0 for _, _ in zip(prompts, [0], strict=False)])

    prompts = [Prompt(str(i), (), {}, (), "x", 1) for i in range(2)]
    with pytest.raises(ValueError, match="the model"):
        list(ask(prompts, answers))


def keyed(runner: PromptedRunner, task: Task) -> str:
    data = {split: tuple(train_of(task.kind, 4)) for split in Split}
    return FitOrder(RunnerIdentity(runner), (task.with_data(data),), 0).key


def test_the_wording_of_a_task_is_part_of_a_prompted_runners_key_and_of_no_others() -> None:
    from groupbench_references.majority import MajorityRunner

    plain = make_task()
    worded = replace(plain, prompt={"instruction": "How does it sound?"})
    said_the_same = replace(plain, prompt={"instruction": "Classify the sentence."})
    assert keyed(Provider(), plain) != keyed(Provider(), worded)
    assert keyed(Provider(), plain) == keyed(Provider(), said_the_same)
    majority: Any = MajorityRunner()
    assert keyed(majority, plain) == keyed(majority, worded)
    ingredients = FitOrder(
        RunnerIdentity(majority), (plain.with_data(dict.fromkeys(Split, ())),), 0
    ).ingredients
    assert "task_identity" not in ingredients


def test_a_task_that_cannot_be_asked_about_is_found_before_anything_is_computed() -> None:
    with pytest.raises(SettingError, match=r"runner provider, task mood: mode = 'score': a token"):
        keyed(Provider(mode="score"), make_task(Kind.TOKEN))
    alike = make_task(labels=("good", "Good."))
    with pytest.raises(CardError, match="word the labels apart"):
        keyed(Provider(), alike)


def test_a_mode_that_the_server_cannot_do_is_an_error() -> None:
    with pytest.raises(SettingError, match="needs label_reads and token_prompts"):
        fitted(Provider(mode="score", messages=True), single())


def test_a_preview_is_what_the_fit_sends() -> None:
    runner = Provider(shots=2)
    task, rows = make_task(), single()
    shown = runner.preview(given(task, rows), rows[3], 5)
    runner.fit(FitRequest((given(task, rows),), seed=5))
    (sent,) = [prompt for prompt in OPENED[-1].sent if prompt.id == rows[3].id]
    assert shown.prompt == sent


def test_every_module_that_decides_is_declared() -> None:
    """All of groupbench.llm that a fit imports is among the deciding modules, and no more."""
    root = Path(groupbench.llm.__file__).parent
    reached: set[str] = set()
    todo = ["prompted", "fitting", "forms", "reads"]  # the last two are for providers' plugins
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        tree = ast.parse((root / f"{name}.py").read_text(encoding="utf-8"))
        typing_only = [
            node
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
            for node in ast.walk(block)
        ]
        todo += [
            str(node.module).removeprefix("groupbench.llm.")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and node not in typing_only
            and (node.module or "").startswith("groupbench.llm.")
        ]
    declared = {
        name.removeprefix("groupbench.llm.")
        for name in DECIDING
        if name.startswith("groupbench.llm.")
    }
    # Only looked at, or what was paid: no answer depends on it.
    assert declared == reached - {"preview", "estimating", "prices", "responses", "usage"}


def test_the_base_imports_nothing_heavy() -> None:
    code = "import sys, groupbench.llm.prompted; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    top = {name.partition(".")[0] for name in done.stdout.split()}
    assert not top & {"torch", "transformers", "openai", "jinja2"}


def test_a_task_from_a_plugin_needs_no_card() -> None:
    task = replace(make_task(), loader=Materialised({}))
    assert isinstance(Provider().task_identity(task), dict)
