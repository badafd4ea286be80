# Two commands: `make run` trains a first network, `make test` tests everything. Both make .venv when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOK := runs/first.ipynb

.PHONY: run test lab plan study walk site reports

run: .venv/.installed
	@echo "Training AlexNet on 600 photographs of solar cells: about four minutes on two cores, less with bf16 units."
	$(BIN)/papermill nbs/run_experiment.ipynb $(NOTEBOOK) -p model alexnet -p study first -p image_size 160 -p epochs 12 --log-output --no-progress-bar
	@echo "Look at $(NOTEBOOK): learning curves, confusion matrix, the worst mistakes."

# Two processes at a time, half of the processor each: more threads than that wait for each other, many times as long.
test: export OMP_NUM_THREADS = $(shell $(PYTHON) -c 'import os; print(max(1, (os.cpu_count() or 2)//2))')
test: .venv/.installed
	$(BIN)/nbdev_test --n_workers 2 --timing
	$(BIN)/python -m pytest

# make plan STUDY=corrosion: what is done, missing, failed, and how long the rest takes. make study: make the rest.
SIZE ?= cores
JOBS ?= 1
plan: .venv/.installed
	@$(BIN)/python workflow/study.py plan $(STUDY) --size $(SIZE)

study: .venv/.installed
	@$(BIN)/python workflow/study.py make $(STUDY) --size $(SIZE) --jobs $(JOBS) $(if $(PROFILE),--profile $(PROFILE)) $(if $(AGAIN),--again $(AGAIN))

# make walk: the commands behind the page "A walk-through", one after the other, on a folder cut from the set fastener.
walk: .venv/.installed
	$(BIN)/python tools/walk.py

# make site: the website in _site/, and which of its pages are out of date. make reports: execute just those.
site: .venv/.installed
	$(BIN)/python tools/build_site.py

reports: .venv/.installed
	$(BIN)/python tools/reports.py --run

lab: .venv/.installed
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/nbs

.venv/.installed: settings.ini pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else f"Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}: try make PYTHON=python3.12")'
	@echo "Installing into .venv: two to four minutes and 6 GB, most of it PyTorch."
	@$(BIN)/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[export,lab,studies,dev,site]'
	@touch $@
