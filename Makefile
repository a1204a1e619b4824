# Two commands: `make matrix` measures and writes reports/, `make test` tests the harness and judges the smoke level.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# --capture=sys below: checks print in processes of their own, and capturing descriptors takes longer than a cached check.
# An interrupted `make matrix` goes on where it was; a finished one starts anew.
RUN    ?= runs/matrix
SHARD  ?= 1/1
LEVEL  ?= standard
SIMULATED ?= runs/simulated
JOBS   ?= auto
# Counts and what is red, as Markdown: a file that they are appended to, such as a job's summary.
SUMMARY ?=
JUNIT  := build/junit
WORKFLOWS := $(wildcard .github/workflows/*.yml)
# What is measured whole takes the place of the evidence there is; a part is written beside it.
WHOLE  := $(if $(filter 1/1,$(SHARD)),$(filter standard full,$(LEVEL)))

.PHONY: matrix test lint harness-tests smoke simulated docs dashboard browser docs-check index-check known-issues bench clean

matrix: $(READY)
	$(BIN)/python -m pytest suites --level $(LEVEL) --shard $(SHARD) --measure --ways-around -n $(JOBS) -q --capture=sys --run-dir $(RUN)
	$(BIN)/python -m harness merge $(RUN) $(if $(WHOLE),--replace)
	$(BIN)/python -m harness docs
	$(BIN)/python -m harness dashboard
	rm -rf $(RUN).last && mv $(RUN) $(RUN).last

test: $(READY) lint docs harness-tests smoke docs-check

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(BIN)/zizmor --offline --quiet --config .github/zizmor.yml $(WORKFLOWS)

harness-tests: $(READY)
	$(BIN)/python -m pytest tests -n $(JOBS) --dist loadgroup -q --junitxml $(JUNIT)/tests.xml

smoke: $(READY)
	$(BIN)/python -m pytest suites --level smoke -n $(JOBS) -q --capture=sys --junitxml $(JUNIT)/smoke.xml $(if $(SUMMARY),--summary $(SUMMARY))

# The path a Mac takes, for the smoke level on every Core ML unit: fake native module, real everything else.
simulated: $(READY)
	$(BIN)/python tests/simulated/run.py -- python -m pytest suites --level smoke -n $(JOBS) -q --run-dir $(SIMULATED)
	$(BIN)/python tests/simulated/compare.py $(SIMULATED)
	rm -rf $(SIMULATED).last && mv $(SIMULATED) $(SIMULATED).last

# The pages of docs/ and reports/ as HTML: build/docs/index.html. A warning fails it.
docs: $(READY)
	$(BIN)/sphinx-build -q -W --keep-going -n -j auto -c docs -d build/doctrees . build/docs

# The records as one page to search, which works from a file: reports/index.html. Not committed: it changes whole.
dashboard: $(READY)
	$(BIN)/python -m harness dashboard

# A Chromium for the tests that click through the dashboard, with what it needs of the system; without one they are skipped.
browser: $(READY)
	$(BIN)/python -m playwright install --with-deps chromium

docs-check: $(READY)
	$(BIN)/python -m harness docs --check

# The generated tables of cases and operators against the installed packages: ten minutes or so. Tests compare parts.
index-check: $(READY)
	$(BIN)/python -m harness index --check

# Make the known issues agree with this run, and print what changed.
known-issues: $(READY)
	$(BIN)/python -m pytest suites --level $(LEVEL) -n $(JOBS) -q --update-known-issues

# Times and memory, side by side with what they are compared to: reports/performance.md. `make bench ONLY=peer` measures one
# section, `make bench QUICK=1` takes minutes. Interrupted, it goes on where it was.
bench: $(READY)
	$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick) $(foreach section,$(ONLY),--only $(section))

$(READY): pyproject.toml install.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python install.py models dev docs dashboard
	touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
