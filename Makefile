# make demo and make test do all the set-up themselves.
LOCK := requirements/$(notdir $(shell requirements/venv.sh --lock))
STAMP := .venv/$(notdir $(LOCK)).installed
PYTHON_IN := .venv/bin/python

.PHONY: help demo test test-slow test-all soak lint lock wheel bench clean .venv

help:  ## this list
	@awk -F ':.*## ' '/^[a-z.]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv  ## LeNet-5 on MNIST from the first stage to served predictions
	$(PYTHON_IN) -m pipelines.demo

# A file's tests share what they set up. A process comes to some gigabytes.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PYTEST = $(PYTHON_IN) -m pytest $(PARALLEL)

test: .venv  ## the tests, on all cores, but for the slow ones; ARGS are pytest's
	$(PYTEST) -m "not slow and not soak" $(ARGS)

test-slow: .venv  ## the slow tests: whole runs, trainings and faults
	$(PYTEST) -m slow $(ARGS)

test-all: .venv  ## both in one session
	$(PYTEST) -m "not soak" $(ARGS)

soak: .venv  ## thousands of random requests to the server
	$(PYTEST) -m soak $(ARGS)

lint: .venv  ## ruff, check and format
	$(PYTHON_IN) -m ruff check
	$(PYTHON_IN) -m ruff format --check

SPEED := start_up run_time ingestion rooms input_pipeline augmentation step_time optimizers onednn serving_rate serving_swaps against_keras_applications detection

bench: .venv  ## the benchmarks of speed; they take the data of the last run of lenet
	@for name in $(SPEED); do echo "== $$name"; \
		$(PYTHON_IN) -m benchmarks.$$name || exit 1; done

.venv: $(STAMP)  ## the environment, from the lock file that fits this system

$(STAMP): $(LOCK) pyproject.toml setup.py requirements/venv.sh
	requirements/venv.sh .venv
	@touch $@

COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(PYTHON_IN) -m uv pip compile --quiet \
	--no-emit-index-url --annotation-style line --extra kubeflow --extra test --extra video --extra dask --extra mlflow --extra onnx

lock: .venv  ## both lock files, anew from pyproject.toml; keeps the pins that still fit
	$(COMPILE) --python-version 3.10 --python-platform x86_64-manylinux_2_36 \
		--output-file requirements/glibc-2.36.txt pyproject.toml requirements/glibc-2.36.in
	$(COMPILE) --python-version 3.11 --universal \
		--output-file requirements/glibc-2.39.txt pyproject.toml requirements/glibc-2.39.in

wheel: .venv  ## the wheel, in dist/
	$(PYTHON_IN) -m build --wheel --no-isolation --outdir dist .

clean:  ## everything made here, the environment too; runs/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
