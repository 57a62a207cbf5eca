"""What a run would send and cost, said before anything is sent; and what it then did cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sites import Site, write_tasks

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PLUGIN = '''
"""A provider whose model says yes to everything; each fit writes a line to a log."""

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from groupbench.calls import Calls
from groupbench.hookspecs import hookimpl
from groupbench.llm import Abilities, MessagesForm, ModelUse, PromptedRunner, Said
from groupbench.llm.usage import Usage
from groupbench.runner import Place, Resources


class Model:
    def __init__(self, runner, abilities):
        self.runner, self.abilities, self.n = runner, abilities, 0

    def generate(self, prompts):
        for prompt in prompts:
            self.n += 1
            yield (Said("yes", "stop"),)

    def use(self):
        price = self.runner.price()
        usd = None if price is None else price.usd(Usage(100 * self.n, tokens_out=2 * self.n))
        return ModelUse(usd or 0.0, calls=Calls(tokens_in=100 * self.n, usd=usd))


@dataclass(frozen=True)
class Provider(PromptedRunner):
    name: ClassVar[str] = "provider"
    summary: ClassVar[str] = "says yes"
    model: str = field(default="gpt-4.1-2025-04-14", metadata={"in_label": True})
    at: str = "external"
    absent: bool = False

    def availability(self):
        return "it has no key" if self.absent else None

    def place(self):
        return Place(self.at)

    def resources(self, group, suite):
        return Resources()

    def identity(self):
        return {}

    def abilities(self):
        return Abilities(MessagesForm(), 8192, frozenset({"chat"}))

    def n_answered(self, prompts):
        return sum(prompt.id in os.environ.get("ANSWERED", "").split() for prompt in prompts)

    @contextmanager
    def open(self, request):
        with Path(os.environ["PROVIDER_LOG"]).open("a") as log:
            log.write("opened\\n")
        yield Model(self, self.abilities())


@hookimpl
def groupbench_register_runners():
    return [Provider]
'''

PRICE_IN, PRICE_OUT = 2.00e-6, 8.00e-6
"""Dollars a token, of the model that the plugin names by default."""


class Desk:
    """Two small tasks and the provider."""

    def __init__(self, root: Path) -> None:
        self.site = Site(root)
        self.site.install("provider", module="provider_hooks", source=PLUGIN)
        self.cards = write_tasks(root / "tasks", ["alpha", "beta"], n=12)
        self.log = root / "log"

    def run(
        self, *arguments: object, spec: str = "provider", command: str = "run", **environment: Any
    ) -> subprocess.CompletedProcess[str]:
        return self.site.groupbench(
            *(command, "--tasks-dir", self.cards, "--task", "alpha", "--task", "beta"),
            *("--runner", spec, "--quiet", *arguments),
            PROVIDER_LOG=str(self.log),
            **environment,
        )

    def plan(self, *arguments: object, **more: str) -> Any:
        done = self.run(*arguments, "--dry-run", "--json", **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def prices(self, text: str) -> Path:
        path = self.site.folder / "prices.toml"
        path.write_text(text)
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def characters_sent(desk: Desk) -> int:
    """Return a quarter of the characters of all prompts, as `groupbench prompt` shows them."""
    tokens = 0
    for task in ("alpha", "beta"):
        shown = desk.site.groupbench(
            *("prompt", task, "--tasks-dir", desk.cards, "--runner", "provider", "--json")
        )
        (question,) = json.loads(shown.stdout)["questions"]
        lengths = [len(message["content"]) for message in question["messages"]]
        # Test examples differ in one or two digits at their ends.
        spare = len(f"{task} test item 0")
        for i in range(12):
            grown = [*lengths[:-1], lengths[-1] - spare + len(f"{task} test item {i}")]
            tokens += sum(-(-length // 4) + 4 for length in grown)
    return tokens


def test_tokens_and_dollars_are_told_and_nothing_is_sent(desk: Desk) -> None:
    document = desk.plan()
    (row,) = document["estimates"]
    assert (row["fits"], row["examples"], row["prompts_built"]) == (2, 24, 24)
    assert row["tokens_in"] == characters_sent(desk)
    assert row["tokens_in_worst"] >= row["tokens_in"]
    # "yes" and "no" are one token each by their characters, and an end mark.
    assert row["tokens_out"] == 24 * 2
    assert row["tokens_out_worst"] == 24 * (32 + len("yes"))
    usd = row["tokens_in"] * PRICE_IN + row["tokens_out"] * PRICE_OUT
    assert document["usd"] == row["usd"] == pytest.approx(usd, abs=1e-7)
    worst = row["tokens_in_worst"] * PRICE_IN + row["tokens_out_worst"] * PRICE_OUT
    assert document["usd_worst"] == pytest.approx(worst, abs=1e-7)
    assert document["tokens"] == row["tokens_in"] + row["tokens_out"]
    assert row["counted_by"].startswith("characters / 4")
    text = desk.run("--dry-run").stdout
    assert "would ask about 24 examples in 2 fits" in " ".join(text.split())
    assert "Estimated from 24 of its prompts; tokens by characters / 4" in text
    assert not desk.log.exists()


def test_big_tasks_are_estimated_from_a_sample(desk: Desk, tmp_path: Path) -> None:
    desk.cards = write_tasks(tmp_path / "many", ["alpha", "beta"], n=400)
    (row,) = desk.plan()["estimates"]
    assert (row["examples"], row["prompts_built"]) == (800, 64)
    (few,) = desk.plan("--max-test", "20")["estimates"]
    assert row["tokens_in"] == pytest.approx(20 * few["tokens_in"], rel=0.03)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("0.000001", "max_usd = 1e-06 is below that: the run would stop before it is done"),
        ("0.005", "max_usd = 0.005 is below the most that it may be: the run may stop early."),
        ("5", None),
    ],
)
def test_a_limit_below_the_estimate_is_pointed_out(
    desk: Desk, limit: str, said: str | None
) -> None:
    text = " ".join(desk.run("--dry-run", "--max-usd", limit).stdout.split())
    assert "Billed in all: about 0.00" in text
    assert ("max_usd" in text) == (said is not None)
    assert said is None or said in text


def test_answers_that_are_stored_cost_nothing(desk: Desk) -> None:
    (whole,) = desk.plan()["estimates"]
    names = " ".join(f"test-{i}" for i in range(6))
    (row,) = desk.plan(ANSWERED=names)["estimates"]
    shown = desk.site.groupbench(
        *("prompt", "alpha", "--tasks-dir", desk.cards, "--runner", "provider", "--json")
    )
    assert json.loads(shown.stdout)["example"] == "test-0"
    assert (row["examples"], row["stored_answers"]) == (24, 12)
    assert row["usd"] == pytest.approx(whole["usd"] / 2, rel=1e-3)


def test_what_is_asked_again_is_in_the_estimate_and_in_the_bill(desk: Desk) -> None:
    (once,) = desk.plan()["estimates"]
    (row,) = desk.plan(spec="provider:repeat=3")["estimates"]
    assert (row["examples"], row["tokens_out"]) == (24 + 6, 30 * 2)
    assert row["tokens_in"] == pytest.approx(once["tokens_in"] * 30 / 24, rel=0.01)
    done = desk.run("--json", spec="provider:repeat=3")
    (entry,) = json.loads(done.stdout)["entries"]
    # This model keeps nothing, so that the answers of the first time are asked for, too.
    assert entry["calls"]["usd"] == pytest.approx((24 + 2 * 6) * (100 * PRICE_IN + 2 * PRICE_OUT))


def test_a_run_costs_what_the_file_of_prices_says_and_the_file_is_in_no_key(desk: Desk) -> None:
    dear = desk.prices('[models."gpt-4.1-2025-04-14"]\ninput = 20.0\noutput = 80.0\n')
    cheap, costly = desk.plan(), desk.plan("--prices", dear)
    assert costly["usd"] == pytest.approx(10 * cheap["usd"], rel=1e-4)
    done = desk.run("--prices", dear, "--json")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["entries"]
    paid = 24 * (100 * 10 * PRICE_IN + 2 * 10 * PRICE_OUT)
    assert entry["calls"]["usd"] == entry["cost_usd"] == pytest.approx(paid)
    assert entry["calls"]["usd_per_1000_examples"] == pytest.approx(1000 * paid / 24)
    assert entry["calls"]["tokens_in"] == 2400
    assert entry["calls"]["tokens_out"] is None
    # Other prices are no reason to ask again; what was paid stays what was paid.
    again = desk.run("--json")
    assert json.loads(again.stdout)["entries"] == [entry]
    assert len(desk.log.read_text().splitlines()) == 2
    plan = desk.plan()
    assert (plan["fits"]["cached"], plan["estimates"], plan["usd"]) == (2, [], 0.0)


def test_an_experiment_file_names_prices_beside_it(desk: Desk) -> None:
    desk.prices("[models.mine]\ninput = 1.0\noutput = 1.0\n")
    (desk.site.folder / "e.toml").write_text('prices = "prices.toml"\n')
    document = desk.plan(desk.site.folder / "e.toml", spec="provider:model=mine")
    (row,) = document["estimates"]
    assert row["usd"] == pytest.approx((row["tokens_in"] + row["tokens_out"]) * 1e-6, abs=1e-7)


def test_a_price_that_is_not_known_is_null_and_said(desk: Desk) -> None:
    document = desk.plan(spec="provider:model=mine")
    assert (document["usd"], document["usd_worst"]) == (None, None)
    assert document["estimates"][0]["usd"] is None
    assert document["tokens"] > 0
    text = " ".join(desk.run("--dry-run", spec="provider:model=mine").stdout.split())
    assert "its price is not known" in text
    assert "give the missing prices in a file of --prices" in text
    (entry,) = json.loads(desk.run("--json", spec="provider:model=mine").stdout)["entries"]
    assert entry["calls"]["usd"] is None


def test_what_runs_here_costs_the_hours_of_the_machine_if_they_are_priced(desk: Desk) -> None:
    hours = desk.prices("usd_per_hour = 3600.0\n")
    document = desk.plan("--prices", hours, spec="provider:at=local,model=own")
    assert document["estimates"][0]["usd_per_hour"] == 3600.0
    assert document["usd"] == 0.0  # nobody sends a bill
    done = desk.run("--prices", hours, "--json", spec="provider:at=local,model=own")
    (entry,) = json.loads(done.stdout)["entries"]
    assert entry["calls"]["usd"] == pytest.approx(entry["predict_seconds"], abs=2e-3)
    done = desk.run("--json", "--store", "other", spec="provider:at=local,model=own")
    (free,) = json.loads(done.stdout)["entries"]
    assert free["calls"]["usd"] is None


@pytest.mark.parametrize("at", ["local", "endpoint"])
def test_hours_of_a_machine_are_shown_and_no_limit_holds_against_them(desk: Desk, at: str) -> None:
    hours = desk.prices("[models.own]\nusd_per_hour = 3.6e6\n")
    spec = f"provider:at={at},model=own"
    limited = ("--prices", hours, "--max-usd", "0.000001")
    document = desk.plan(*limited, spec=spec)
    assert document["estimates"][0]["usd_per_hour"] == 3.6e6
    text = " ".join(desk.run("--dry-run", *limited, spec=spec).stdout.split())
    assert "3,600,000.00 USD an hour, which max_usd does not count." in text
    assert document["usd"] == 0.0
    assert "is below" not in text
    done = desk.run(*limited, "--json", spec=spec)
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["entries"]
    assert entry["status"] == "ok"
    assert entry["calls"]["usd"] == pytest.approx(entry["cost_usd"], rel=1e-6)
    assert entry["cost_usd"] > 0.000001


def test_a_runner_that_cannot_run_here_is_estimated_too(desk: Desk) -> None:
    document = desk.plan(spec="provider:absent=true")
    (row,) = document["estimates"]
    assert row["available"] is False
    assert row["usd"] > 0
    assert (document["usd"], document["tokens"]) == (0.0, None)
    assert document["skipped"][0]["reason"] == "it has no key"
    text = desk.run("--dry-run", "--max-usd", "0.001", spec="provider:absent=true").stdout
    assert "max_usd = 0.001 would not be enough for it at worst." in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.m]\ninput = -1\noutput = 1\n", 'models."m" input = -1: expected a number'),
        ("[models.m]\ninput = 1\n", 'models."m": output is missing'),
        ("[models.m]\ninputs = 1\n", "Did you mean 'input'?"),
        ('usd_per_hour = "two"\n', "usd_per_hour = 'two': expected a number, 0 or above."),
        ("models = 3\n", "models = 3: expected a table."),
        ("= 3\n", "not TOML"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_of_prices_is_refused_with_the_place(
    desk: Desk, text: str | None, message: str
) -> None:
    path = desk.site.folder / "missing.toml" if text is None else desk.prices(text)
    commands = ("run", "pvi") if text is None else ("run",)
    for command in commands:
        done = desk.site.groupbench(
            *(command, "--tasks-dir", desk.cards, "--task", "alpha", "--runner", "provider"),
            *("--prices", path),
        )
        assert done.returncode == 2
        assert message in done.stderr
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr
    assert not desk.log.exists()
