# Two commands do everything on a fresh machine: `make course` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# nbgrader calls `alembic`, and Jupyter calls `jupyter-*`, by name: the environment's bin comes first on PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)
LAB ?= lab00-cost-of-a-run
# JupyterLab asks other hosts for news and extensions unless told not to, and refuses root unless told to.
LAB_OPTIONS := --LabApp.news_url=None --LabApp.extension_manager=readonly \
	--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate $(if $(filter 0,$(shell id -u)),--allow-root)
# The formgrader's pages take MathJax from this server instead of another host.
CLASS ?= grading/demo
FORMGRADER_OPTIONS = $(LAB_OPTIONS) --LabApp.default_url=/formgrader --ServerApp.extra_static_paths="$$( \
	$(CURDIR)/$(BIN)/python -c 'from book._ext.offline import mathjax_folder; print(mathjax_folder().parent)')"
PORT ?= 8000
# The tests are shared out to as many workers as there are cores, four at most, in the order in which they were
# collected, so that the many small ones at the end fill what the long ones leave (WORKERS=0: one after another).
WORKERS ?= logical
PYTEST = $(BIN)/python -m pytest --numprocesses=$(WORKERS) --maxprocesses=4 --no-loadscope-reorder

.PHONY: help course setup lock book demo lab labs grade formgrader doctor serve test test-slow lint types bench clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

course: setup book demo ## set up, build the book by executing it, grade the demo class
	@$(BIN)/course doctor --summary || true
	@echo "The book:  _build/html/index.html  (make serve)"
	@echo "The lab:   labs/$(LAB)  (make lab)"
	@echo "The class: grading/demo/  (make formgrader; course gradebook --demo)"

setup: ## make .venv with the pinned packages (FORCE=1 installs anew)
	@$(PYTHON) -m course_lib.runtime.bootstrap $(if $(FORCE),--force)

lock: setup ## write requirements.lock from what pyproject.toml's pins pull in
	@$(BIN)/python -m course_lib.runtime.lock

book: setup ## build the book by executing its chapters, warnings are errors
	@$(BIN)/python -m book.kit.build

demo: setup ## make the demo class's submissions and grade them
	@$(BIN)/python -m grading.demo_class

lab: setup ## open a lab in JupyterLab (LAB=lab00-cost-of-a-run)
	@$(BIN)/jupyter lab $(LAB_OPTIONS) labs/$(LAB)/$(LAB).ipynb

labs: setup ## make labs/ from solutions/ and run the gates
	@$(BIN)/course labs build
	@$(BIN)/course labs check

grade: setup ## grade grading/submitted/*/LAB with nbgrader in the sandbox (LAB=...)
	@$(BIN)/course grade $(LAB)

formgrader: setup ## open nbgrader's formgrader on the demo class (CLASS=grading for yours)
	@test -f $(CLASS)/nbgrader_config.py || $(BIN)/python -m grading.demo_class
	@cd $(CLASS) && $(CURDIR)/$(BIN)/jupyter lab $(FORMGRADER_OPTIONS)

doctor: setup ## say what this machine has and lacks
	@$(BIN)/course doctor

serve: setup ## serve the built book on loopback (PORT=8000)
	@$(BIN)/python -m book.kit.serve --port $(PORT)

test: setup ## run the tests (under 15 minutes on 2 cores)
	@$(PYTEST) -m "not slow"

test-slow: setup ## run the slow end-to-end checks that CI adds
	@$(PYTEST) -m slow

lint: setup ## check style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## check types
	@$(BIN)/mypy

bench: setup ## measure speed as ratios against named peers, in one run
	@$(BIN)/python -m benchmarks

clean: ## delete what was built; submissions, gradebooks and .venv stay
	rm -rf _build .jb-cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
