# `make` alone lists what there is. Nothing has to be installed before but Python 3.11 or later and make.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Index that PyTorch alone is taken from (a CPU build, another CUDA version); pip's own setting when empty.
TORCH_INDEX ?=
# Further arguments of pytest, e.g. make test ARGS="-k taxi"
ARGS ?=
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
# Notebooks build on one another's runs; from a fresh run root, so that no run of an older workbench stands in for one of this.
FRESH_RUNS = runs=$$(mktemp -d) && trap 'rm -rf "$$runs"' EXIT && export WORKBENCH_RUNS="$$runs" OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help setup app test test-browser test-notebooks check format lab notebooks docs pins clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install everything into it

# The first of these that is 3.11 or later and can make a venv.
$(STAMP): pyproject.toml constraints.txt
	@if [ ! -x $(BIN)/python ]; then \
	  for python in $(PYTHON) python3.12 python3.13 python3.11 python3.14 python3 python; do \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "make setup: found no Python 3.11 or later with venv; install one (Debian: python3 and python3-venv), or name it: make setup PYTHON=/path/to/python3" >&2; \
	    exit 2; \
	  fi; \
	  echo "Making $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)",-c constraints.txt) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev,docs,notebooks,selection]'
	@touch $@

app: setup ## Open the app in the browser (on this machine only)
	STREAMLIT_SERVER_SHOW_EMAIL_PROMPT=false $(BIN)/python -m workbench.dashboard

test: setup ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-browser: setup ## Run the tests in a real browser; pictures go to screenshots/
	scripts/install_chromium.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser $(ARGS)

check: setup ## Lint, format, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# JupyterLab shows no SVG of a notebook that it does not trust: without the first line the pictures would appear only as cells are run.
lab: setup ## Open the notebooks in JupyterLab (on this machine only)
	@$(BIN)/jupyter trust $(NOTEBOOKS) > /dev/null
	WORKBENCH_RUNS="$${WORKBENCH_RUNS:-$(CURDIR)/runs}" $(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --notebook-dir=notebooks

notebooks: setup ## Run every notebook in order and keep its output
	@$(FRESH_RUNS) && $(BIN)/python -m scripts.run_notebooks $(NOTEBOOKS)

test-notebooks: setup ## Run every notebook afresh and compare with the output it keeps
	@$(FRESH_RUNS) && $(BIN)/python -m pytest --nbval --nbval-sanitize-with notebooks/sanitize.cfg --nbval-current-env \
	  --nbval-cell-timeout=300 --timeout=0 -p no:xdist $(ARGS) $(NOTEBOOKS)

docs: setup ## Build the documentation as a static site in site/, and check its links
	$(BIN)/mkdocs build --strict

pins: setup ## Write constraints.txt from what is installed in .venv
	$(BIN)/python -m pip freeze --exclude-editable --local | sed -e 's/+[a-z0-9.]*$$//' -e '/ @ /d' > constraints.new
	mv constraints.new constraints.txt
	@touch $(STAMP)

clean: ## Remove .venv and every cache; runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
