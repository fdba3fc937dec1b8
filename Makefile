SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PEERS := litserve azureml mosec mlserver mlflow vetiver
SHIP_PEERS := azureml mlserver
MODELS := $(patsubst %,r_models/%.rds,boston mpg am iris) \
  $(addprefix python_models/,iris_logistic.joblib digits.pt2 faq/model.joblib)

# What is not there yet, and a step of setting up for each.
UNTRAINED := $(filter-out $(wildcard $(MODELS)),$(MODELS))
place = $(words $(shell printf '%s\n' $(UNTRAINED) | sed '\|^$@$$|q'))
train = @scripts/step.sh "Example models" "$(place)" "$(words $(UNTRAINED))" "$@ (5 to 60 s)"

.PHONY: run setup test attack ship-ready ship-test fresh-test lint house audit bench bench-peers chaos soak clean help system system-dev system-ship system-bench venv venv-dev

run: setup ## install what is missing, train the example models, serve on 127.0.0.1:8000
	@exec .venv/bin/tandem serve

setup: venv $(MODELS) ## what `make run` does before it serves

# testthat runs beside pytest, and its report comes last: each waits for servers and processes now and then.
# Files go to the processes in the order of tests/conftest.py, the longest first, so that neither ends long before the
# other. The folder of temporary files has a short name: sockets lie in it, whose paths have 107 bytes at most.
# The lines that run are counted by slipcover, which costs 4 % of the time on Python 3.11; coverage.py doubles it.
# A part of it, without counting: make test TESTS=tests/auth TESTTHAT=lm (a regular expression). Not R_TESTS: R runs the
# file of that name.
test: venv-dev $(MODELS) ## everything that is checked: testthat and pytest
	@status=0; temporary=$$(mktemp -d /tmp/XXXXXX); set -x; \
	Rscript -e 'testthat::test_dir("tests/server/workers/r/testthat", filter = if (nzchar("$(TESTTHAT)")) "$(TESTTHAT)",' \
	  -e 'stop_on_failure = TRUE, stop_on_warning = TRUE)' >"$$temporary.testthat" 2>&1 & \
	.venv/bin/python $(if $(TESTS),,-m slipcover --source server,auth,mlops --json --out "$$temporary.lines") \
	  -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --basetemp=$$temporary $(TESTS) || status=1; \
	wait $$! || status=1; { set +x; } 2>/dev/null; cat "$$temporary.testthat"; \
	$(if $(TESTS),,.venv/bin/python scripts/coverage.py "$$temporary.lines" || status=1;) \
	rm -rf "$$temporary" "$$temporary.testthat" "$$temporary.lines"; exit $$status

attack: venv-dev $(MODELS) ## attack it: hostile models, packages, requests; the short form is part of make test
	FUZZ_EXAMPLES=200 .venv/bin/python -m pytest -m 'not ship and not fresh' tests/attack tests/server/pools/test_leaving.py \
	  tests/server/supervisor/test_sandboxed.py tests/server/machine/test_sandbox.py \
	  tests/server/workers/torch/test_digits_served.py

# What ship-test takes minutes to fetch and build; .ci/run does it while the tests wait for servers.
ship-ready: system-ship venv-dev .venv-ship/made .venv-clients/made .venv-azure/made $(SHIP_PEERS:%=benchmarks/.peers/%/made)
	.venv/bin/python -m tests.harness.ship

# Two files at a time, as in `make test`. Images are built once for both (tests/harness/ship.py).
ship-test: system-ship venv-dev .venv-ship/made .venv-clients/made .venv-azure/made $(SHIP_PEERS:%=benchmarks/.peers/%/made) $(MODELS) ## the image, the manifests, the gateway, dashboards and alerts
	temporary=$$(mktemp -d /tmp/XXXXXX); status=0; .venv/bin/python -m pytest -m ship \
	  --numprocesses=2 --dist=loadfile --no-loadscope-reorder --basetemp=$$temporary || status=1; \
	rm -rf $$temporary; exit $$status

fresh-test: system-ship venv-dev ## the start of README.md on bare Debian 12 and 13; some of it: ON='bookworm and root'
	.venv/bin/python -m pytest -s -m fresh tests/scripts/test_fresh.py $(if $(ON),-k '$(ON)')

lint: venv-dev ## ruff, mypy, import-linter, lintr, shellcheck
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	Rscript scripts/lint.R server/workers/r/R r_models tests
	.venv/bin/shellcheck -x -P SCRIPTDIR scripts/*.sh k8s/aks/*.sh .ci/run

house: venv-dev ## draw the code: its rooms, whom each of them knows, how large they are
	@.venv/bin/python scripts/house.py

audit: venv-dev ## ask whether a vulnerability of a locked package is known; 75 where nobody can be asked
	.venv/bin/python scripts/audit.py

bench: system-bench venv-dev $(MODELS) bench-peers ## measure against plain R, plain Python and other servers
	.venv/bin/python -m benchmarks.run

chaos: system-bench venv-dev $(MODELS) ## break Tandem on purpose under load, and measure what callers see
	.venv/bin/python -m benchmarks.chaos

soak: system-bench venv-dev $(MODELS) ## ten minutes of load: does memory grow?
	.venv/bin/python -m benchmarks.chaos soak

bench-peers: $(PEERS:%=benchmarks/.peers/%/made) ## the other servers, each in an environment of its own

# PyTorch is in no lock with hashes (requirements-torch.txt).
benchmarks/.peers/%/made: benchmarks/peers/%.lock requirements-torch.lock
	@rm -rf $(@D)
	@$${PYTHON:-python3} -m venv $(@D)
	@scripts/step.sh "Peer $*" 1 3 "the packages of $< (about 1 min)" scripts/pip.sh locked $(@D)/bin/python -r $<
	@scripts/step.sh "Peer $*" 2 3 "PyTorch, if it is for networks (about 1 min)" \
	  $(if $(filter litserve mosec,$*),scripts/pip.sh torch $(@D)/bin/python,true)
	@scripts/step.sh "Peer $*" 3 3 "is all there that they ask for?" scripts/pip.sh check $(@D)/bin/python
	@touch $@

clean: ## remove the environment and the caches; models and .tandem/ stay
	rm -rf .venv .venv-ship .venv-clients .venv-azure .venv.lock benchmarks/.peers *.egg-info build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find auth mlops server tests -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

system:
	@scripts/install-system.sh run

system-dev:
	@scripts/install-system.sh run test

system-ship:
	@scripts/install-system.sh run test ship

system-bench:
	@scripts/install-system.sh run test bench

venv: system
	@scripts/make-venv.sh

venv-dev: system-dev
	@scripts/make-venv.sh dev

.venv-%/made: requirements-%.lock
	@rm -rf $(@D)
	@$${PYTHON:-python3} -m venv $(@D)
	@scripts/step.sh "Tools for ship-test" 1 2 "the packages of $< (about 1 min)" scripts/pip.sh locked $(@D)/bin/python -r $<
	@scripts/step.sh "Tools for ship-test" 2 2 "is all there that they ask for?" scripts/pip.sh check $(@D)/bin/python
	@touch $@

# Only what is missing is trained: a model that an analyst saved under the same name stays.
r_models/%.rds: | system
	$(train) Rscript r_models/train/$*.R

python_models/iris_logistic.joblib: | venv
	$(train) .venv/bin/python python_models/train/iris.py

python_models/digits.pt2: | venv
	$(train) .venv/bin/python python_models/train/digits.py

python_models/faq/model.joblib: | venv
	$(train) .venv/bin/python python_models/train/faq.py train
