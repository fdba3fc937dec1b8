SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

MODELS := $(patsubst %,r_models/%.rds,boston mpg am iris)

.PHONY: run setup test lint bench clean help system system-dev system-bench venv venv-dev

run: setup ## install what is missing, train the example models, serve on 127.0.0.1:8000
	@exec .venv/bin/tandem serve

setup: venv $(MODELS) ## what `make run` does before it serves

test: venv-dev $(MODELS) ## everything that is checked: testthat, then pytest
	@status=0; set -x; \
	Rscript -e 'testthat::test_dir("tests/server/workers/r/testthat", stop_on_failure = TRUE, stop_on_warning = TRUE)' \
	  || status=1; \
	.venv/bin/python -m pytest || status=1; \
	{ set +x; } 2>/dev/null; exit $$status

lint: venv-dev ## ruff, mypy, import-linter, lintr, shellcheck
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	Rscript scripts/lint.R server/workers/r/R r_models tests
	.venv/bin/shellcheck scripts/*.sh .ci/run

bench: system-bench venv-dev $(MODELS) ## measure against plain R and plumber; the result file is kept
	.venv/bin/python -m benchmarks.run

clean: ## remove the environment and the caches; models and .tandem/ stay
	rm -rf .venv .venv.lock *.egg-info build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find auth server tests -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

system:
	@scripts/install-system.sh run

system-dev:
	@scripts/install-system.sh run test

system-bench:
	@scripts/install-system.sh run test bench

venv: system
	@scripts/make-venv.sh

venv-dev: system-dev
	@scripts/make-venv.sh dev

# Only what is missing is trained: a model that an analyst saved under the same name stays.
r_models/%.rds: | system
	Rscript r_models/train/$*.R
