"""lm-evaluation-harness at work; run as a program, in an environment of its own.

    python _lm_eval_arm.py FOLDER URL MODEL

``FOLDER`` holds the tasks. Each line that comes in names one and a number of requests at once; a
line goes out for it, with seconds and log-likelihoods. Timed is `loglikelihood` of its model alone,
from strings to numbers: tasks, documents and metrics are no part of it.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from typing import Any

# pyright: reportMissingImports=false
from lm_eval import simple_evaluate
from lm_eval.models.openai_completions import LocalCompletionsAPI
from lm_eval.tasks import TaskManager


def measured(manager: Any, url: str, model: str, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - of a library without types
    """Return what one evaluation took, and the log-likelihoods of each document's choices."""
    lm = LocalCompletionsAPI(
        base_url=f"{url}/completions",
        model=asked["served_as"],
        tokenizer=model,
        tokenizer_backend="huggingface",
        num_concurrent=asked["at_once"],
        max_length=2048,
        add_bos_token=True,
    )
    took: dict[str, float] = {}
    score = lm.loglikelihood

    def timed(requests: Any, **more: Any) -> Any:  # noqa: ANN401 - likewise
        began, cpu = time.perf_counter(), time.process_time()
        found = score(requests, **more)
        took.update(seconds=time.perf_counter() - began, cpu_seconds=time.process_time() - cpu)
        return found

    lm.loglikelihood = timed
    done = simple_evaluate(model=lm, tasks=[asked["task"]], task_manager=manager, bootstrap_iters=0)
    samples = sorted(done["samples"][asked["task"]], key=lambda sample: sample["doc_id"])
    scores = [[float(each[0]) for each in sample["filtered_resps"]] for sample in samples]
    return {**took, "scores": scores}


def main(folder: str, url: str, model: str) -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # it prints what it likes
    manager = TaskManager(include_path=folder, include_defaults=False)
    print(json.dumps({"version": version("lm_eval")}), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(measured(manager, url, model, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
