# make demo    from nothing to a running example on a test host of this machine
# make test    everything: checks, unit tests, operations and the whole deploy on test hosts
# make check   format, lint, types and unit tests: what needs no test host
# make help    the rest
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON := .venv/bin/python
DEMO := demo
# Where it is set, each of some thousand runs would compile all that it imports: two thirds of its start.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

venv: ## .venv from the lock file, with hashes
	@scripts/bootstrap

lab: venv ## what test hosts need: Debian packages and a cached image
	@scripts/as-root $(PYTHON) -m lab prepare

demo: lab ## deploy examples/rec_io to a test host, prove it, and say how to look at it
	@scripts/demo $(DEMO)

demo-down: venv ## remove the demo's test host
	@scripts/as-root $(PYTHON) -m lab down $(DEMO)

check: venv ## format, lint, types, unit tests
	@scripts/check

test: check lab ## everything
	@scripts/test

faults: lab ## break an upgrade at every boundary in four ways; writes docs/faults.md (half an hour)
	@scripts/faults --jobs 3

quiet: lab ## watch a monitored test host on which nothing happens: no alert may fire (15 minutes)
	@scripts/quiet

backup-cuts: lab ## cut off 20 backups on each image, under write load; writes docs/backup-cuts.md (10 minutes)
	@scripts/backup-cuts

bench-database: lab ## backup and restore of 1.5 GB against bare pg_dump and pg_restore (10 minutes)
	@scripts/bench-database

bench: lab ## converge bare, changed, converged and many hosts, beside Ansible, at three latencies (45 minutes)
	@scripts/bench

lock: venv ## pin what requirements/*.in name
	@scripts/lock

.PHONY: help venv lab demo demo-down check test faults quiet backup-cuts bench-database bench lock
