# `make stampede` and `make test` are all one needs to know; `make help` tells the rest.
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
DATA ?= $(CURDIR)/var/$@-$(shell date -u +%Y%m%d-%H%M%S)
PY := .venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
INSTALL := $(PY) -m pip install --quiet --quiet --require-hashes --only-binary :all:
# The one part that is compiled here: there is no wheel of it. Needs libmariadb-dev, pkg-config and gcc.
COMPILED := --no-binary mysqlclient

.PHONY: help stampede serve stack test test-packages bitcoin-node compiler lint types bench bench-stack lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

stampede: .venv/app ## the whole story: a sale, a crowd of 300, an audit, a verdict (under three minutes)
	@STAMPEDE_DATA="$(DATA)" $(PY) manage.py stampede

serve: .venv/app ## the demo, until Ctrl-C, in a fresh data folder (PORT=8123, DATA=/a/folder to keep one)
	@STAMPEDE_DATA="$(DATA)" $(PY) manage.py serve --port $(PORT)

stack: .venv/stack ## the real stack on this machine, in the background: MariaDB with replicas, Redis, SQS, SMTP, nginx …
	@$(PY) manage.py stack up

# The laboratory's own tests know no database, so they need no second time on the stack's servers.
# The process tests mostly wait, so three go on two cores; the longest files begin (tests/conftest.py).
test: .venv/dev test-packages bitcoin-node lint types ## everything that CI runs, on files and on the real stack's servers
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PY) -m pytest -n 2 --dist loadgroup -m "not process"
	@TEST_ON=stack $(PY) -m pytest -n 2 --dist loadgroup -m "not process" --ignore tests/loadtests
	@$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m process

lint: .venv/dev ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: .venv/dev ## mypy
	@$(PY) -m mypy

bench: .venv/app test-packages ## the measurements that need no server, about six minutes (match_block also on MariaDB)
	@for name in position_vs_bare position_growth address_pairs match_block catch_up; do $(PY) -m bench.$$name || exit 1; done

bench-stack: .venv/stack test-packages ## those that need the stack's servers or packages, or django-oscar, about ten minutes
	@for name in observing edge mails durable_signups sqs_calls joins settling category_vs_oscar; do $(PY) -m bench.$$name || exit 1; done

# package-lock.json in deploy/local/sqs and in deploy/local/anvil is renewed by hand, after a new version in package.json
# there, without the addresses that the packages came from, so that npm takes them from where it is set up to:
#   npm install --package-lock-only --omit-lockfile-registry-resolved
lock: .venv/dev ## renew the pinned versions (needs uv)
	uv pip compile pyproject.toml --python-version 3.11 --generate-hashes --no-annotate --no-header -q -o requirements.txt
	uv pip compile pyproject.toml --extra stack --python-version 3.11 --generate-hashes --no-annotate --no-header -q -c requirements.txt -o requirements-stack.txt
	uv pip compile pyproject.toml --extra stack --group dev --python-version 3.11 --generate-hashes --no-annotate --no-header -q -c requirements-stack.txt -o requirements-dev.txt

clean: ## remove the environment and all data folders
	rm -rf .venv var runs

define install_missing
if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing$$missing …"; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
elif [ -n "$$missing" ]; then \
	echo "Missing; as root, type: apt-get install -y$$missing"; \
fi
endef

# Chromium and wrk come from Debian; without root the tests that need them say that they were skipped. The servers of the
# stack are no matter of taste: without them, half of the tests cannot run.
test-packages: .venv/dev
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium fonts-dejavu-core"; \
	command -v wrk >/dev/null || missing="$$missing wrk"; \
	$(install_missing)
	@$(PY) manage.py stack install

# Where Debian sid has it; without it the tests that need it say that they were skipped.
bitcoin-node: .venv/dev
	@$(PY) -m deploy.local.knots || true

# What the database's driver is compiled with.
compiler:
	@missing=""; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v pkg-config >/dev/null && pkg-config --exists libmariadb || missing="$$missing pkg-config libmariadb-dev"; \
	$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
		|| missing="$$missing python3-dev"; \
	$(install_missing)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Making the environment in .venv (once, about half a minute) …"
	@$(PYTHON) -m venv .venv

.venv/app: .venv/bin/python requirements.txt
	@$(INSTALL) -r requirements.txt
	@touch $@

.venv/stack: .venv/app requirements-stack.txt | compiler
	@$(INSTALL) $(COMPILED) -r requirements-stack.txt
	@touch $@

.venv/dev: .venv/app requirements-dev.txt | compiler
	@$(INSTALL) $(COMPILED) -r requirements-dev.txt
	@touch $@
