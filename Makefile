# Each target sets up all it needs on a machine with only Python (3.11 or newer) and make.
# PYTHON=/path/to/python picks one by hand; see tools/pick_python.sh.
BIN := .venv/bin

.PHONY: run test check bench corpus lock docs clean

run: .venv/run.stamp
	@$(BIN)/waypost serve $(ARGS)

test: check

check: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

bench: .venv/run.stamp
	@$(BIN)/waypost bench $(ARGS)

# Every recorded exchange in every way: the laws, all pairs of protocols with the official SDKs (about three minutes).
corpus: .venv/dev.stamp
	$(BIN)/pytest tests/corpus $(ARGS)

# Regenerates every page and table that is made from code.
docs: .venv/dev.stamp
	$(BIN)/python tools/docs.py

# Needs uv; the locks hold hashes for every platform and Python that Waypost supports.
lock:
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml --group dev -o requirements-dev.lock

.venv/bin/python:
	python=$${PYTHON:-$$(sh tools/pick_python.sh)} && "$$python" -m venv .venv

.venv/run.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/run.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache dist
