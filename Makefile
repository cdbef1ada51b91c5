# `make` alone lists the targets. Set-up needs only make and Python 3.11 or newer; tools/setup.sh does it and says what it does.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run test check soak e2e secrets bench docs lock clean

INPUTS := requirements.lock requirements-run.lock requirements-uv.lock tools/setup.sh $(wildcard */pyproject.toml services/*/pyproject.toml)
DEV := .venv/.has-dev
# `make run` installs what the server needs only, unless the whole is there already.
RUN := $(if $(wildcard $(DEV)),$(DEV),.venv/.has-run)
GATE := @.venv/bin/python tools/gate.py

help:  ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: $(RUN)  ## run the whole server in the foreground (Ctrl-C stops it); ARGS="--config FILE" is handed on
	@exec .venv/bin/aldis serve $(ARGS)

test: $(DEV)  ## run everything but e2e: check, integration and interop tests, with what they need from Debian
	$(GATE) test

check: $(DEV)  ## the gate for every commit: format, lint, types, imports, unit, property, scenarios on 10 fault seeds
	$(GATE) check

soak: $(DEV)  ## long tests, and scenarios on 200 fault seeds
	$(GATE) soak

e2e: $(DEV)  ## build docker-compose.yml on the engine that DOCKER_HOST names, and chat through it
	$(GATE) e2e

secrets:  ## make passwords and a self-signed certificate for docker-compose.yml, in ./secrets
	@tools/secrets.sh

bench: $(DEV)  ## measure on this machine: microseconds of each part, then Aldis beside ejabberd and Prosody; ARGS="--only aldis --rounds 1"
	@for measure in $(basename $(notdir $(sort $(wildcard bench/micro_*.py bench/profile_*.py)))); do \
	    echo "== $$measure"; .venv/bin/python -m bench.$$measure || exit 1; done
	@tools/test_packages.sh bench-packages.txt || true
	@echo "== compare"; .venv/bin/python -m bench.compare $(ARGS)

docs: $(DEV)  ## write the generated pages in docs/
	@.venv/bin/python tools/spec_refs.py
	@.venv/bin/python tools/settings_reference.py aldis.launcher.settings:AldisSettings --output docs/settings.md
	@.venv/bin/python tools/xeps_reference.py --output docs/xeps.md

lock: $(DEV)  ## pin the requirements anew; UPGRADE=1 moves to the newest versions
	@tools/lock.sh

clean:  ## remove .venv, caches and what was built; data/ stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEV): $(INPUTS)
	@tools/setup.sh dev

.venv/.has-run: $(INPUTS)
	@tools/setup.sh run

# A moved tree or a vanished interpreter makes the stamps worthless.
ifneq ($(shell test -x .venv/bin/python && cat .venv/.made-in 2>/dev/null),$(CURDIR))
.PHONY: $(DEV) .venv/.has-run
endif
