# Everything here needs python3.11 (or newer), pip and make. Nothing is installed outside this folder.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := .tools/bin/uv
SITE ?= site
BIN := .venv/bin
BUT_AIRFLOW := $(addprefix --extra ,cli dagster delta emulator fast iceberg mysql postgres report s3 snowflake)
WITH_AIRFLOW := $(addprefix --extra ,airflow delta emulator postgres s3)

# Airflow and Dagster start many processes, and each would compile all of their modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up test clock matrix environments reliability kills soak workers check docs pictures bench scale lock clean

help: ## List the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

demo: .venv/.complete ## A nightly export through Airflow and a health table through Dagster, checked against the truth (TRACE="file ..." for real data)
	@$(BIN)/python dags_examples/demo.py $(if $(TRACE),--trace $(TRACE))

up: .venv/.complete ## Emulator, Airflow and Dagster together, examples at work; Ctrl-C stops everything
	@$(BIN)/python dags_examples/up.py

test: .venv/.complete ## All tests; PART="tests/sdk tests/emulator" runs some, without the slow ones
	@$(BIN)/python -m pytest -n 2 $(if $(PART),-m "not slow" $(PART))

matrix: .venv/.complete ## The main jobs under ROWS (500) more services out of all that the emulator can be
	@VECTORSHIFT_MATRIX_MORE=$(or $(ROWS),500) $(BIN)/python -m pytest -n 2 -s tests/matrix

clock: .venv/.complete ## The tests without the slow ones, DAYS (400) ahead of today; PART="tests/sdk" runs some
	@mkdir -p .cache && $(CC) -shared -fPIC -O2 -o .cache/moved_clock.so tests/moved_clock.c
	@CLOCK_DAYS=$(or $(DAYS),400) LD_PRELOAD=$(CURDIR)/.cache/moved_clock.so $(BIN)/python -m pytest -n 2 -m "not slow" $(or $(PART),tests)

environments: .venv/.complete ## The built wheel under Python 3.11 to 3.13, Airflow 3.1 to 3.3, the lowest and the newest versions; ends with a table
	@TEST_ENVIRONMENTS=1 $(BIN)/python -m pytest -q tests/environments

workers: .tools/workers/.complete ## EXPORTS (12) by Airflow, DAYS (12) and HOURS (200) by Dagster over Celery workers, one of which is killed; takes Redis (apt-get install redis-server)
	@LIVE_PATIENCE=900 WORKERS_EXPORTS=$(or $(EXPORTS),12) WORKERS_DAYS=$(or $(DAYS),12) WORKERS_HOURS=$(or $(HOURS),200) .tools/workers/bin/python -m pytest -q -s tests/workers

check: .venv/.complete ## Format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

docs: .tools/docs/.complete ## The documentation site, into site/; a broken link or reference fails it
	@set -e; build=$$(mktemp -d .tools/site.XXXXXX); trap "rm -rf $$build" EXIT; \
	cp -R zensical.toml docs src CHANGELOG.md CONTRIBUTING.md $$build; \
	(cd $$build && ../docs/bin/zensical build --strict); \
	rm -rf $(SITE); mv $$build/site $(SITE)
	@echo "Open $(SITE)/index.html, or with the search: python3 -m http.server --directory $(SITE)"

pictures: .venv/.complete docs ## All that there is to be seen, as files in .pictures; START=http://127.0.0.1:8000 of a `make up` that runs
	@$(BIN)/python -m dags_examples.pictures $(if $(START),--start $(START)) $(if $(KEEP),--keep $(KEEP))

reliability: .venv/.complete ## Faults, kills and disturbed answers at full size: 1,000,000 answers and 200,000 files (hours); SHARE=100 does a hundredth
	@$(BIN)/python -W ignore -m tests.sdk.fuzzing bytes $$((1000000 / $(or $(SHARE),1))) 1
	@$(BIN)/python -W ignore -m tests.sdk.fuzzing structures $$((66000 / $(or $(SHARE),1))) 1
	@$(BIN)/python -W ignore -m tests.orchestration.fuzzing_files $$((200000 / $(or $(SHARE),1))) 1
	@TEST_JOB_CASES=$$((500 / $(or $(SHARE),1) + 1)) TEST_GENERATED_REQUESTS=$$((20000 / $(or $(SHARE),1) + 100)) $(BIN)/python -m pytest -q -n 2 \
		tests/orchestration/test_exports_stateful.py tests/emulator/test_generated_requests.py
	@$(BIN)/python -m tests.reliability.endurance $$((10000 / $(or $(SHARE),1))) $$((1000 / $(or $(SHARE),1))) $$((1000 / $(or $(SHARE),1)))
	@TEST_KILL_TIMES=$(if $(SHARE),1,15) $(BIN)/python -m pytest -q -n 2 tests/reliability

kills: .venv/.complete ## KILLS (20) of each process of Airflow, of Dagster and of what exports stand on, while they run (an hour)
	@LIVE_KILLS=$(or $(KILLS),20) LIVE_PATIENCE=900 $(BIN)/python -m pytest -q -s -n 2 \
	tests/airflow_live/test_kill_rounds.py tests/dagster/test_kill_rounds.py tests/reliability/test_kill_others.py tests/reliability/test_server_faults.py

soak: .venv/.complete ## Exports of hour after hour into two databases for HOURS (1) while service and wires misbehave; SEED=2 for other trouble
	@$(BIN)/python -W ignore -m tests.reliability.soak $$(awk 'BEGIN { print 3600 * $(or $(HOURS),1) }') $(or $(SEED),1)

bench: .venv/.complete ## Side-by-side measurements, written into docs/performance.md; QUICK=1 only prints them
	@$(BIN)/python benchmarks/report.py $(if $(QUICK),--quick)

scale: .venv/.complete ## What grows with the size of a deployment: the slopes behind docs/scale.md
	@$(BIN)/python benchmarks/bench_scale.py --quick

lock: $(UV) ## Resolve the hashed locks again (they hold no index address)
	@rm -f requirements/*.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header --all-extras --group dev pyproject.toml -o requirements/dev.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header requirements/official.in -o requirements/official.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header requirements/dlt.in -o requirements/dlt.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header requirements/clickhouse.in -o requirements/clickhouse.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header requirements/mysqlclient.in -o requirements/mysqlclient.txt
	@$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-annotate --no-header $(BUT_AIRFLOW) --resolution lowest-direct pyproject.toml requirements/tests.in -o requirements/lowest.txt
	@$(UV) pip compile -q --python-version 3.13 --generate-hashes --no-annotate --no-header $(BUT_AIRFLOW) pyproject.toml requirements/tests.in -o requirements/newest.txt
	@# What was there on the days of Airflow 3.1.2 and 3.2.2, as their constraints have it; then what we and the tests need beside it.
	@$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-annotate --no-header --exclude-newer 2025-11-06 requirements/airflow31.in requirements/airflow.in -o requirements/airflow31.txt
	@$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-annotate --no-header $(WITH_AIRFLOW) pyproject.toml requirements/airflow31.in requirements/airflow.in requirements/tests.in -o requirements/airflow31.txt
	@$(UV) pip compile -q --python-version 3.12 --generate-hashes --no-annotate --no-header --exclude-newer 2026-05-30 requirements/airflow32.in requirements/airflow.in -o requirements/airflow32.txt
	@$(UV) pip compile -q --python-version 3.12 --generate-hashes --no-annotate --no-header $(WITH_AIRFLOW) pyproject.toml requirements/airflow32.in requirements/airflow.in requirements/tests.in -o requirements/airflow32.txt
	@$(UV) pip compile -q --python-version 3.12 --generate-hashes --no-annotate --no-header --extra dagster -c requirements/dev.txt pyproject.toml requirements/desk.in -o requirements/desk.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header -c requirements/dev.txt requirements/workers.in -o requirements/workers.txt
	@$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-annotate --no-header $(WITH_AIRFLOW) --extra mysql --extra snowflake -c requirements/dev.txt pyproject.toml requirements/hooks.in requirements/airflow.in requirements/tests.in -o requirements/hooks.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header requirements/docs.in -o requirements/docs.txt
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header requirements/tools.in -o requirements/tools.txt

clean: ## Remove everything that the other commands made
	@rm -rf .venv .tools .cache .demo .pictures .pytest_cache .mypy_cache .ruff_cache .hypothesis dist site

$(UV): requirements/tools.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --upgrade --require-hashes --target .tools -r requirements/tools.txt
	@touch $@

.tools/docs/.complete: $(UV) requirements/docs.txt
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .tools/docs
	@$(UV) pip sync --quiet --require-hashes --python .tools/docs/bin/python requirements/docs.txt
	@touch $@

.tools/workers/.complete: $(UV) requirements/dev.txt requirements/workers.txt
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .tools/workers
	@$(UV) pip sync --quiet --require-hashes --python .tools/workers/bin/python requirements/dev.txt requirements/workers.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python .tools/workers/bin/python -e .
	@touch $@

.venv/.complete: $(UV) requirements/dev.txt pyproject.toml
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements/dev.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@
