"""Label scoring through a server: the runner `vllm` beside lm-evaluation-harness.

    python benchmarks/llm_scoring.py [--rounds 5] [--short 512] [--long 384]

One vLLM server of a tiny model answers three clients in turns, about the same prompts and labels:
groupbench, lm_eval's `local-completions`, and a bare generator that sends the bodies that
groupbench sent and reads no reply. `make bench-llm` makes the environments that it needs.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from _labelling import LONG, MANY, SHORT, tiny_llama
from _machine import Machine
from _paired import Spread, in_turns, ratios
from _report import Goal, Report, Table, parser
from _scoring_arms import Ours, Peer, Server, Took, bare, one_by_one, shuffled

from groupbench.errors import GroupbenchError
from groupbench.llm.vllm_installation import PYTHON_VARIABLE, Installation
from groupbench.llm.vllm_server import VllmServer, VllmSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _labelling import Shape

ROOT = Path(__file__).parents[1]
OURS, PEER, BARE = "groupbench", "lm_eval", "bare generator"
AT_ONCE = (32, 64)
MIN_TIMES = {SHORT.name: 1.8, LONG.name: 10.0}
"""The peer's examples a second."""
MIN_SHARE = {SHORT.name: 0.80, LONG.name: 0.95}
"""Of the bare generator's examples a second."""
N_BLOCKS = 512
"""Of the prefix cache, 128 tokens each: room for 64 long prompts that share nothing."""
ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
"""With ``--distributed-executor-backend uni``, the model runs in the engine's process. vLLM's
worker for processors is a process of its own, and both wait for each other in busy loops: on two
cores a client's speed would then be the scheduler's whim."""
MOST_APART = 1e-4
"""Nats, between our log-likelihoods and the peer's."""


@dataclass(frozen=True)
class Found:
    """What was measured of prompts of one shape."""

    shape: Shape
    n_tokens: int
    """Of a prompt."""
    took: Mapping[str, Sequence[Took]]
    """Of each arm, round by round."""
    apart: float
    """The largest difference between log-likelihoods of ours and the peer's, in nats."""

    def best(self, arm: str) -> str:
        """Return the name of an arm with as many requests at once as suit it best."""
        names = [name for name in self.took if name.startswith(arm)]
        return max(names, key=lambda name: self.spread(name).median)

    def spread(self, name: str) -> Spread:
        """Return an arm's examples a second."""
        return Spread.of([took.per_second for took in self.took[name]])

    def ratio(self, arm: str) -> Spread:
        """Return our examples a second over the best of an arm, of one round each."""
        other = self.took[self.best(arm)]
        return Spread.of(
            ratios([t.per_second for t in self.took[OURS]], [t.per_second for t in other])
        )

    def row(self, name: str) -> tuple[str, ...]:
        """Return an arm's line of the table."""
        took = self.took[name]
        arm = next((arm for arm in (PEER, BARE) if name == self.best(arm)), "")
        return (
            self.shape.name,
            name,
            str(took[0].n_examples),
            self.spread(name).text(1),
            str(self.ratio(arm)) if arm else "",
            Spread.of([1e3 * t.cpu_seconds / t.n_examples for t in took]).text(2),
            f"{Spread.of([t.hit_rate for t in took]).median:.0%}",
        )

    def goals(self) -> tuple[Goal, ...]:
        """Return the goals for this shape."""
        name, times, share = self.shape.name, self.ratio(PEER), self.ratio(BARE)
        return (
            Goal(
                f"{name} prompts: at least {MIN_TIMES[name]:g} times lm_eval's examples a second",
                times.median,
                at_least=MIN_TIMES[name],
                spread=str(times),
            ),
            Goal(
                f"{name} prompts: at least {MIN_SHARE[name]:.0%} of the bare generator's",
                share.median,
                at_least=MIN_SHARE[name],
                spread=str(share),
            ),
        )


def measure(
    server: Server, python: Path, folder: Path, sizes: Mapping[Shape, tuple[int, int]], rounds: int
) -> tuple[list[Found], str]:
    """Return what each shape took, and the peer's version.

    Args:
        server: that answers.
        python: the interpreter that has lm_eval.
        folder: an empty one.
        sizes: examples of each shape: ours, and how many of them the peer is asked about.
        rounds: of all arms.
    """
    ours = {shape: Ours(server, shape, n) for shape, (n, _) in sizes.items()}
    prompts = {shape: arm.prompts() for shape, arm in ours.items()}
    peer = Peer(python, server, folder)
    for shape, (_, n_peer) in sizes.items():
        peer.add(shape.name, prompts[shape][:n_peer])
    found = []
    with peer:
        for shape, (n, n_peer) in sizes.items():
            mine, bodies = ours[shape], ours[shape].bodies()
            peer.measure(shape.name, AT_ONCE[0])  # the first time it reads and keeps documents
            apart: list[float] = []

            def asked(
                at_once: int,
                shape: Shape = shape,
                n_peer: int = n_peer,
                mine: Ours = mine,
                apart: list[float] = apart,
            ) -> Took:
                took, scores = peer.measure(shape.name, at_once)
                apart.append(float(abs(scores - mine.scores[:n_peer]).max()))
                return took

            arms: dict[str, Callable[[], Took]] = {OURS: mine.measure}
            for each in AT_ONCE:
                arms[f"{PEER}, {each} at once"] = lambda each=each: asked(each)  # type: ignore[misc] # a default binds the loop's variable
                arms[f"{BARE}, {each} at once"] = lambda each=each, b=bodies, n=n: bare(  # type: ignore[misc] # likewise
                    server, b, n, each
                )
            took = in_turns(arms, rounds)
            if max(apart) > MOST_APART:
                raise SystemExit(f"lm_eval and groupbench differ by {max(apart)} nats")
            found.append(Found(shape, prompts[shape][0].n_tokens, took, max(apart)))
    return found, peer.version


def ordering(server: Server, tasks: int, each: int, texts: int) -> tuple[tuple[str, ...], ...]:
    """Return lines of the hit rate with our ordering and without.

    Args:
        server: that answers.
        tasks: few-shot tasks, each of which has shots of its own.
        each: examples of each.
        texts: that are asked about label by label.
    """
    few = [Ours(server, LONG, each, seed) for seed in range(1, tasks + 1)]
    bodies = [body for one in few for body in one.bodies()]
    whole = Ours(server, MANY, texts).bodies()
    cases = {
        f"{tasks} few-shot tasks, {each} examples each": (bodies, shuffled(bodies, 0), "shuffled"),
        f"{len(MANY.labels)} labels, each asked about alone, {texts} examples": (
            whole,
            one_by_one(whole),
            "label by label",
        ),
    }
    return tuple(
        (
            name,
            f"{bare(server, in_order, len(in_order), AT_ONCE[-1]).hit_rate:.1%}",
            f"{bare(server, not_so, len(not_so), AT_ONCE[-1]).hit_rate:.1%} ({how})",
        )
        for name, (in_order, not_so, how) in cases.items()
    )


def report(
    machine: Machine, found: Sequence[Found], orders: tuple[tuple[str, ...], ...], versions: str
) -> Report:
    """Return the tables and the goals."""
    lengths = ", ".join(f"{one.shape.name}: {one.n_tokens} tokens" for one in found)
    rounds = len(found[0].took[OURS])
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg()[:2])
    return Report(
        name="llm_scoring",
        title="Label scoring beside lm_eval",
        compares=(
            f"One server of a tiny Llama on this processor ({versions}), float32, and three "
            f"clients on the same cores, about the same prompts ({lengths}; the long ones share "
            "their 16 shots) and three labels. `groupbench`: the runner `vllm` attached by `url`, "
            "at most 64 requests at once, from examples to stored label scores. `lm_eval`: "
            "`local-completions` with its default batch, timed from strings to log-likelihoods. "
            "`bare generator`: the very bodies that groupbench sent, over plain sockets; replies "
            "are read and not used. Arms take turns; the prefix cache is emptied before each, and "
            "nothing is replayed. lm_eval is asked about fewer of the long examples: its rate "
            f"does not depend on it. Median and quartiles of {rounds} rounds."
        ),
        machine=machine,
        tables=(
            Table(
                "Asking",
                (
                    *("prompts", "client", "examples", "examples a s"),
                    *("groupbench is faster by", "client's CPU ms an example"),
                    "prefix-cache hits",
                ),
                tuple(one.row(name) for one in found for name in one.took),
            ),
            Table(
                "Prefix-cache hits by the order of what is sent, bodies of groupbench",
                ("asked", "our order", "another"),
                orders,
            ),
        ),
        goals=tuple(goal for one in found for goal in one.goals()),
        notes=(
            "Log-likelihoods of groupbench and lm_eval differ by at most "
            f"{max(one.apart for one in found):.1e} nats: both did the same work.",
            "A ratio is to the better of 32 and 64 requests at once, chosen by its median.",
            f"The cache has {N_BLOCKS} blocks of 128 tokens: what prompts share where orders are "
            "compared is more than that. Prompts of fewer tokens than a block are never in it.",
            "The server's model runs in its engine's process: a worker of its own would wait in a "
            "busy loop, and two cores are too few for two such loops and a client.",
            f"Load average when it ended, over 1 and 5 minutes, its own work included: {load}.",
        ),
        samples={
            one.shape.name: {
                name: [
                    {
                        "n_examples": t.n_examples,
                        "seconds": t.seconds,
                        "cpu_seconds": t.cpu_seconds,
                        "hit_rate": t.hit_rate,
                    }
                    for t in took
                ]
                for name, took in one.took.items()
            }
            for one in found
        },
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--short", type=int, default=512, help="examples with short prompts")
    options.add_argument("--long", type=int, default=384, help="examples with long prompts")
    options.add_argument(
        "--peer", type=int, nargs=2, default=(256, 64), help="of them, those lm_eval is asked about"
    )
    options.add_argument(
        "--ordered",
        type=int,
        nargs=3,
        default=(96, 8, 288),
        help="for orders: few-shot tasks, examples of each, texts asked about label by label",
    )
    options.add_argument("--vllm-python", type=Path, default=ROOT / ".venv-vllm/bin/python")
    options.add_argument("--lm-eval-python", type=Path, default=ROOT / ".venv-lm-eval/bin/python")
    chosen = options.parse_args()
    for python in (chosen.vllm_python, chosen.lm_eval_python):
        if not python.is_file():
            options.error(f"there is no {python}: make bench-llm makes it and runs this program")
    machine = Machine.here()
    os.environ |= {
        PYTHON_VARIABLE: str(chosen.vllm_python),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_SERVER_DEV_MODE": "1",  # only then it can be told to forget
        **ONE_PROCESS,
    }
    sizes = {
        SHORT: (chosen.short, min(chosen.short, chosen.peer[0])),
        LONG: (chosen.long, min(chosen.long, chosen.peer[1])),
    }
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "tasks").mkdir()
        folder = tiny_llama(root / "tiny")
        server = VllmServer(
            VllmSettings(
                folder,
                "tiny",
                dtype="float32",
                max_model_len=2048,
                flags=(
                    *("--num-gpu-blocks-override", str(N_BLOCKS)),
                    *("--distributed-executor-backend", "uni"),
                ),
            )
        )
        try:
            asked = Server(server.start(root), folder)
            found, version = measure(
                asked, chosen.lm_eval_python, root / "tasks", sizes, chosen.rounds
            )
            orders = ordering(asked, *chosen.ordered)
        except GroupbenchError as problem:
            raise SystemExit(str(problem)) from None
        finally:
            server.stop()
    vllm = Installation.of(str(chosen.vllm_python)).version
    report(machine, found, orders, f"vLLM {vllm}, lm_eval {version}").write(chosen.out)


if __name__ == "__main__":
    main()
