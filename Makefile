# make demo: see it work.  make test: see it proven.  Both set up what they need in .venv.
.PHONY: help demo test chaos bench lint unit integration acceptance requirements clean
BIN := .venv/bin

help:
	@echo "make demo          the three questions of the course, answered by a worker and a stand-in ERP"
	@echo "make test          linters, types and every test (eight minutes on two cores)"
	@echo "make chaos         limits, kills, restarts and poison under load, judged from what they left (an hour; CHECKS=NAME)"
	@echo "make bench         speed, memory and CPU beside other clients, each with its bar (half an hour; BENCHES=NAME)"
	@echo "make lint          ruff and mypy alone"
	@echo "make unit | integration | acceptance    one kind of test"
	@echo "make requirements  pin the dependencies of pyproject.toml again (needs uv)"
	@echo "make clean         remove .venv and caches (var/ is left alone)"

demo: ready
	@$(BIN)/python -m deploy.demo

# What is killed and crowded is judged by the clock, and so is played apart: it mostly waits.
ALONE := tests/acceptance/test_chaos_checks.py
test: lint browser
	@$(BIN)/python -m pytest -n 6 --dist worksteal -q --ignore $(ALONE)
	@$(BIN)/python -m pytest -n 5 --dist worksteal -q $(ALONE)

chaos: ready
	@$(BIN)/python -m tests.chaos $(CHECKS)

bench: ready
	@deploy/bootstrap.sh curl
	@$(BIN)/python -m tests.benchmarks.bench $(BENCHES)

lint: ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

unit integration acceptance: ready
	@$(BIN)/python -m pytest -q tests/$@

acceptance: browser

.PHONY: ready browser
ready:
	@deploy/bootstrap.sh

browser:
	@deploy/bootstrap.sh chromium

UV := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --quiet
requirements:
	$(UV) -o requirements.txt
	$(UV) --all-extras -o requirements-dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
