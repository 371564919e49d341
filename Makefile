# Every target first makes .venv from requirements.lock (tools/setup.sh) and reuses it when nothing changed.
# Written for GNU make 3.81 and later, the version of macOS.

# The interpreter that .venv is made with; empty: the first of python3.11, 3.12 and 3.13 that runs.
PYTHON ?=
PORT ?= 8000
export PYTHON

VENV_PYTHON := .venv/bin/python
BUILT := _build/html

.DEFAULT_GOAL := help
.PHONY: help venv book notebooks repository serve browser test unit lint bench peers lock wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

venv: ## make or update .venv from requirements.lock
	@sh tools/setup.sh

book: notebooks ## execute the chapters and build the book in _build/html
	.venv/bin/jupyter-book build . -W --keep-going -n

notebooks: venv ## write the .ipynb beside each chapter anew
	$(VENV_PYTHON) tools/pair_notebooks.py

repository: venv ## make URL=https://github.com/owner/name the repository's address everywhere
	$(VENV_PYTHON) tools/repository.py "$(URL)"
	$(VENV_PYTHON) tools/pair_notebooks.py

serve: ## show the built book at http://127.0.0.1:8000 (PORT=...)
	@test -f $(BUILT)/index.html || { echo "There is no built book yet: run 'make book' first." >&2; exit 1; }
	$(VENV_PYTHON) -m http.server --bind 127.0.0.1 --directory $(BUILT) $(PORT)

browser: venv ## look at the built book in a browser (Chromium; GAD_CHROMIUM names one)
	$(VENV_PYTHON) -m pytest tests/browser

test: lint ## lint, check types and run all tests
	$(VENV_PYTHON) -m pytest -n auto --dist loadfile

unit: venv ## run the quick tests alone
	$(VENV_PYTHON) -m pytest -n auto --dist loadfile -m "not slow and not reference" --ignore tests/browser

lint: venv ## ruff check, ruff format --check, mypy
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m mypy

bench: venv ## measure speed and memory
	$(VENV_PYTHON) -m benchmarks

peers: venv .venv-peers/.ready ## measure anomalib's methods beside ours (makes .venv-peers first)
	$(VENV_PYTHON) -m benchmarks.peers

.venv-peers/.ready: benchmarks/peers-requirements.txt
	rm -rf .venv-peers
	$(VENV_PYTHON) -m uv venv --quiet --python $(VENV_PYTHON) .venv-peers
	$(VENV_PYTHON) -m uv pip install --quiet --python .venv-peers/bin/python -r benchmarks/peers-requirements.txt
	touch $@

lock: venv ## recompile requirements.lock from pyproject.toml (UPGRADE=--upgrade for newer versions)
	$(VENV_PYTHON) -m uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--no-emit-find-links --python-version 3.11 --all-extras $(UPGRADE) pyproject.toml -o requirements.lock

wheel: venv ## build the wheel in dist/
	$(VENV_PYTHON) -m build --wheel --no-isolation

clean: ## remove what was built; .venv stays
	rm -rf _build dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis
