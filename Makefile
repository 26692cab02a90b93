# make demo | make test | make check | make bench | make story
PY ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench story format clean

demo: $(VENV)/.demo
	$(BIN)/qc demo $(ARGS)

test: $(VENV)/.test
	@sh tools/ensure_debian.sh mosquitto:mosquitto chromium:chromium
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test
	$(BIN)/python tools/bench.py $(ARGS)

story: $(VENV)/.test
	$(BIN)/python tools/story.py --scenario solar --out var/stories $(ARGS)

# The virtual environment: the demo needs no torch, the tests need everything.
$(VENV)/.made:
	@command -v $(PY) >/dev/null || { echo "make: $(PY) not found; set PY=python3.12 or another Python >= 3.11"; exit 1; }
	@echo "Creating $(VENV) with $$($(PY) --version)"
	$(PY) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing qc with the demo extra (no torch)"
	$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing qc with all extras that the tests use (torch is large)"
	$(PIP) torch==2.13.0 torchvision==0.28.0
	$(PIP) -e '.[demo,train,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist var .mypy_cache .ruff_cache .pytest_cache .hypothesis
