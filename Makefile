# vmcluster.network: everything a developer or CI runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup venv demo lab-up lab-down lint test test-junos-device molecule bench docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what development and tests need: system packages (as root, on Debian) and .venv
	@$(PYTHON) tools/setup.py

venv: ## only .venv, from requirements-dev.txt
	@$(PYTHON) tools/setup.py --venv

demo: setup ## build an emulated data centre, run site.yml in it, attach VMs, reach them from outside
	@$(BIN)/python tools/demo.py $(if $(KEEP),--keep)

lab-up: setup ## boot the emulated data centre and leave it running; see lab/README.md
	@lab/lab up

lab-down: venv ## take it down
	@lab/lab down

lint: venv ## what reads the code: ruff, mypy, yamllint, ansible-lint, changelog, docs
	@$(BIN)/python tools/run_tests.py --group lint

test: setup ## everything: lint, unit tests, ansible-test, molecule and lab tests (STEPS=unit,mypy: some of it)
	@$(BIN)/python tools/run_tests.py $(if $(STEPS),--only $(STEPS))

test-junos-device: venv ## tests of junos_bgp_group against a real Junos router: tests/junos/README.md
	@test -n "$${VMCLUSTER_JUNOS_HOST:-}" -a -n "$${VMCLUSTER_JUNOS_ASN:-}" || { echo "see tests/junos/README.md" >&2; exit 2; }
	@$(BIN)/pytest -p no:cacheprovider tests/junos/test_on_device.py

molecule: setup ## one scenario: make molecule SCENARIO=lab_ping
	@$(BIN)/python tools/run_tests.py --only molecule-$(SCENARIO)

bench: setup ## run the benchmarks; RESUME=1: those that an interrupted run has not done; ONLY=site,nodes: some
	@$(BIN)/python benchmarks/run_all.py $(if $(RESUME),--resume) $(if $(ONLY),--only $(ONLY))

docs: venv ## draw docs/pictures, check the documentation of modules and roles, and build docs/_build/html
	@$(BIN)/python tools/draw_pictures.py
	@$(BIN)/python tools/build_docs.py

lock: venv ## write requirements-dev.txt from requirements-dev.in; UPGRADE=1: newest versions
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) requirements-dev.in -o requirements-dev.txt

clean: ## remove .venv, caches and reports; labs stay (make lab-down)
	@rm -rf .venv .cache .ansible reports docs/_build
