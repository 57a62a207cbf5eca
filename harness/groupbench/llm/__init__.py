"""What language-model runners share: prompts, readers, label reads. Pure Python, for plugins.

From an example to a prediction::

    wording = Wording.of(task)
    builder = PromptBuilder(task, wording, mode, ChatForm(tokenizer), limit=8192)
    pool = ShotPool(task, train, avoid=predicted, too_long=builder.too_long(4))
    prompt = builder.build(example, pool.pick(4, seed=0))

    plan = plan_reads(question.continuations)         # mode score, of each question
    reads = plan.sums(replies)                        # what the server said to plan.calls
    output, n_ties = label_output(LabelScores.stack(...).normalised())

    answer = read_answer(wording, mode, prompt, [Said(text)])        # the other modes
    output = answers_output(task, examples, prompts, answers)

`PromptedRunner` does all of this; a provider's plugin gives it a `Model`. Where the provider has an
API over HTTP that model is `open_served`: the plugin brings a `Client`, which sends one request
once and writes the reply in the shape of an OpenAI completion, and gets retries, pace, budget,
response store and struck-out keys::

    @contextmanager
    def open(self, request):
        key = read_key("MY_KEY")
        served = Served("my-provider", self.model)
        with open_served(
            request, MyClient(key), self.model, served, self.abilities(), redact=Redactor([key])
        ) as model:
            yield model

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groupbench.llm.answered import StoredAnswers
    from groupbench.llm.answers import Reading, Said, answers_output, read_answer
    from groupbench.llm.boundaries import (
        DoubleBos,
        Joint,
        LabelTokens,
        TemplateRewritesTurns,
        split_labels,
    )
    from groupbench.llm.budget import OnLong
    from groupbench.llm.builder import PromptBuilder
    from groupbench.llm.chat import ChatForm, MessagesForm, PlainForm
    from groupbench.llm.client import Client, Reply
    from groupbench.llm.conversation import Conversation, Form, Rendered
    from groupbench.llm.entities import bio_to_spans, read_entities, spans_to_bio
    from groupbench.llm.errors import SpendingCapError, StoppedError
    from groupbench.llm.forms import form_of
    from groupbench.llm.lessons import Lesson, lessons_of
    from groupbench.llm.model import Abilities, Model, ModelUse
    from groupbench.llm.modes import Mode, choose_mode
    from groupbench.llm.opening import open_served
    from groupbench.llm.pace import Patience
    from groupbench.llm.preview import Preview
    from groupbench.llm.prices import Price, Prices
    from groupbench.llm.prompt import Prompt, Question
    from groupbench.llm.prompted import PromptedRunner
    from groupbench.llm.prompter import Prompter
    from groupbench.llm.readers import Reason, Step, read_label, read_list
    from groupbench.llm.reads import LabelReads, ReadCall, ReadPlan, plan_reads
    from groupbench.llm.requests import Request, Requester
    from groupbench.llm.responses import Served
    from groupbench.llm.schemas import answer_schema, output_cap
    from groupbench.llm.scores import (
        Calibration,
        LabelScores,
        Normalisation,
        calibrated,
        fit_threshold,
        label_output,
        log_softmax,
        multilabel_output,
        pick,
    )
    from groupbench.llm.secrets import Redactor, read_key
    from groupbench.llm.served import ServedModel
    from groupbench.llm.shots import ShotPool, pick_shots
    from groupbench.llm.tokenizer import Tokenizer
    from groupbench.llm.wording import Wording

_HOMES = {
    "answered": ("StoredAnswers",),
    "answers": ("Reading", "Said", "answers_output", "read_answer"),
    "boundaries": ("DoubleBos", "Joint", "LabelTokens", "TemplateRewritesTurns", "split_labels"),
    "budget": ("OnLong",),
    "builder": ("PromptBuilder",),
    "chat": ("ChatForm", "MessagesForm", "PlainForm"),
    "client": ("Client", "Reply"),
    "conversation": ("Conversation", "Form", "Rendered"),
    "entities": ("bio_to_spans", "read_entities", "spans_to_bio"),
    "errors": ("SpendingCapError", "StoppedError"),
    "forms": ("form_of",),
    "lessons": ("Lesson", "lessons_of"),
    "model": ("Abilities", "Model", "ModelUse"),
    "modes": ("Mode", "choose_mode"),
    "opening": ("open_served",),
    "pace": ("Patience",),
    "preview": ("Preview",),
    "prices": ("Price", "Prices"),
    "prompt": ("Prompt", "Question"),
    "prompted": ("PromptedRunner",),
    "prompter": ("Prompter",),
    "readers": ("Reason", "Step", "read_label", "read_list"),
    "reads": ("LabelReads", "ReadCall", "ReadPlan", "plan_reads"),
    "requests": ("Request", "Requester"),
    "responses": ("Served",),
    "schemas": ("answer_schema", "output_cap"),
    "scores": (
        "Calibration",
        "LabelScores",
        "Normalisation",
        "calibrated",
        "fit_threshold",
        "label_output",
        "log_softmax",
        "multilabel_output",
        "pick",
    ),
    "secrets": ("Redactor", "read_key"),
    "served": ("ServedModel",),
    "shots": ("ShotPool", "pick_shots"),
    "tokenizer": ("Tokenizer",),
    "wording": ("Wording",),
}
"""Where each public name lives."""

__all__ = [
    "Abilities",
    "Calibration",
    "ChatForm",
    "Client",
    "Conversation",
    "DoubleBos",
    "Form",
    "Joint",
    "LabelReads",
    "LabelScores",
    "LabelTokens",
    "Lesson",
    "MessagesForm",
    "Mode",
    "Model",
    "ModelUse",
    "Normalisation",
    "OnLong",
    "Patience",
    "PlainForm",
    "Preview",
    "Price",
    "Prices",
    "Prompt",
    "PromptBuilder",
    "PromptedRunner",
    "Prompter",
    "Question",
    "ReadCall",
    "ReadPlan",
    "Reading",
    "Reason",
    "Redactor",
    "Rendered",
    "Reply",
    "Request",
    "Requester",
    "Said",
    "Served",
    "ServedModel",
    "ShotPool",
    "SpendingCapError",
    "Step",
    "StoppedError",
    "StoredAnswers",
    "TemplateRewritesTurns",
    "Tokenizer",
    "Wording",
    "answer_schema",
    "answers_output",
    "bio_to_spans",
    "calibrated",
    "choose_mode",
    "fit_threshold",
    "form_of",
    "label_output",
    "lessons_of",
    "log_softmax",
    "multilabel_output",
    "open_served",
    "output_cap",
    "pick",
    "pick_shots",
    "plan_reads",
    "read_answer",
    "read_entities",
    "read_key",
    "read_label",
    "read_list",
    "spans_to_bio",
    "split_labels",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    from importlib import import_module

    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'groupbench.llm' has no attribute {name!r}")
    value: object = getattr(import_module(f"groupbench.llm.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
