# `make quickstart` and `make test` do all their set-up themselves. Needs Python 3.11 to 3.13 (PYTHON=... to name it) and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Where PyTorch comes from, if not from pip's index: TORCH_INDEX=https://download.pytorch.org/whl/cpu for the build without CUDA.
TORCH_INDEX ?=
VENV ?= .venv
BIN := $(VENV)/bin
SEED ?= 0

.PHONY: help install quickstart study better ombria test campaign lint docs wheel wheel-test clean

help:
	@echo 'make quickstart [SEED=0]  install, pretrain DeCUR on generated rooms, transfer, compare with random initialisation'
	@echo 'make study                install, run the decoupling study (docs/decoupling.md); resumable'
	@echo 'make better               install, compare changes of DeCUR with plain DeCUR (docs/better.md); resumable'
	@echo 'make ombria SRC=CLONE [QUICK=1] [ROUNDS=...]  install, compare pretraining on real floods (docs/ombria.md); resumable'
	@echo 'make test                 install, run every test'
	@echo 'make campaign             install, inject faults and attacks, a JSON line for each (tests/campaign/run.py --help)'
	@echo 'make docs                 install, build the documentation site into build/site, strictly'
	@echo 'make lint                 install, check the style'
	@echo 'make wheel                install, build the wheel and the source distribution into dist/, check how they look on an index'
	@echo 'make wheel-test           build the wheel, install it into an empty environment (dist/venv), train and test there'
	@echo 'make install              install into $(VENV)'
	@echo 'TORCH_INDEX=https://download.pytorch.org/whl/cpu with any of these: the CPU build of PyTorch, 2 GB instead of 6 (docs/install.md)'

install: $(VENV)/.installed

# Reinstalled when what is required changes.
$(VENV)/.installed: pyproject.toml setup.py requirements/constraints.txt tools/fix_opencv.sh
	$(PYTHON) -c 'import sys; assert sys.version_info[:2] >= (3, 11), "Python 3.11 or newer is needed, this is " + sys.version'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifneq ($(TORCH_INDEX),)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt --index-url $(TORCH_INDEX) torch torchvision
endif
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt -e '.[all]'
	bash tools/fix_opencv.sh $(BIN)/python
	touch $@

quickstart: install
	$(BIN)/python tools/quickstart.py --seed $(SEED)

study: install
	$(BIN)/python tools/study.py --jobs 2

better: install
	$(BIN)/python tools/better.py --jobs 2
	$(BIN)/python tools/better_baselines.py

ombria: install
	@test -n '$(SRC)' || { echo 'error: give SRC=CLONE, a clone of github.com/geodrak/OMBRIA' >&2; exit 1; }
	$(BIN)/python tools/ombria.py '$(SRC)' $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS))

test: install
	$(BIN)/python -m pytest -m 'slow or not slow' -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --durations 15

campaign: install
	$(BIN)/python tests/campaign/run.py

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: install
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz

wheel-test: wheel
	$(PYTHON) -m venv dist/venv
ifneq ($(TORCH_INDEX),)
	dist/venv/bin/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt --index-url $(TORCH_INDEX) torch torchvision
endif
	dist/venv/bin/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt dist/*.whl
	bash tools/fix_opencv.sh dist/venv/bin/python
	dist/venv/bin/python tests/package/outside.py dist/venv/bin/decur
	rm -rf dist/venv

lint: install
	$(BIN)/ruff check .

clean:
	rm -rf build dist projects/*.egg-info
