"""KerasTuner's searches, with several trials at a time, each in a process of its own.

KerasTuner's own way to run trials at a time wants a server for the oracle and a copy of the whole
program for each worker, and waits for ever for a worker that was killed. Here the oracle stays in
this process, and a thread for each process asks it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult
from tfx.utils import io_utils

from components import progress, tasks
from components.settings import chosen
from components.tune.orders import Order, SearchFacts
from components.tune.processes import Process
from components.tune.space import hyperparameters

_STAGE = "Tuner"


class TuningError(RuntimeError):
    """A search in which no trial came to its end."""


class _Grid(keras_tuner.oracles.GridSearchOracle):
    """A grid search that goes on where it was interrupted: KerasTuner's would take it for ended."""

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        # In the order of the grid, in which those that were tried are linked.
        for trial_id in sorted(self.trials, key=self._place):
            self._ordered_ids.insert(trial_id)
        self._populate_next = list(self.start_order)

    def _place(self, trial_id: str) -> tuple[int, ...]:
        values = self.trials[trial_id].hyperparameters.values
        return tuple(self._rank(parameter, values[parameter.name]) for parameter in self._axes())

    def _axes(self):
        return self.get_space().space

    @staticmethod
    def _rank(parameter, value) -> int:
        others = [each for each in parameter.values if each != parameter.default]
        return [parameter.default, *others].index(value)


def _hyperband(max_trials: int, epochs: int, **common: Any) -> keras_tuner.Oracle:
    # Brackets follow each other until there were as many trials as asked for.
    oracle = keras_tuner.oracles.HyperbandOracle(
        max_epochs=epochs, hyperband_iterations=max_trials, **common
    )
    oracle.max_trials = max_trials
    return oracle


def _oracle(recipe: Mapping[str, Any]) -> keras_tuner.Oracle:
    tune, task = recipe["tune"], tasks.find(recipe["task"])
    common = {
        "objective": keras_tuner.Objective(
            task.monitor, "min" if task.monitor_less_is_better else "max"
        ),
        "max_trials": tune["trials"],
        "hyperparameters": hyperparameters(tune["space"]),
        # KerasTuner takes 0 for no seed.
        "seed": recipe["seed"] + 1,
        # One that fails says nothing about the next.
        "max_consecutive_failed_trials": tune["trials"] + 1,
    }
    if tune["search"] == "hyperband":
        return _hyperband(epochs=_epochs(recipe), **common)
    return _ORACLES[tune["search"]](**common)


_ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "grid": _Grid,
    "gaussian_process": keras_tuner.oracles.BayesianOptimizationOracle,
}


def _epochs(recipe: Mapping[str, Any]) -> int:
    return recipe["tune"]["epochs"] or recipe["epochs"]


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """What TFX's Tuner calls.

    Args:
      fn_args: TFX's; `custom_config` holds `recipe` (JSON) and `checkpoints`, the folder below
        which an interrupted search finds its trials.
    """
    recipe = json.loads(fn_args.custom_config["recipe"])
    identity = [fn_args.custom_config["recipe"], fn_args.transform_graph_path, fn_args.train_files]
    if "modules" in fn_args.custom_config:
        identity.append(fn_args.custom_config["modules"])
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    search = Search(
        oracle=_oracle(recipe),
        directory=fn_args.custom_config["checkpoints"],
        project_name=f"tune-{key}",
    )
    # One schedule for all: what a trial is cut short of, it may be given later.
    facts = {
        "recipe": {**recipe, "epochs": _epochs(recipe)},
        "train_files": fn_args.train_files,
        "transform_output": fn_args.transform_graph_path,
    }
    return TunerFnResult(
        tuner=search, fit_kwargs={"facts": facts, "parallel": recipe["tune"]["parallel"]}
    )


class Search(BaseTuner):
    """Asks an oracle for trials until it has no more.

    Its project folder holds all that is known of the trials, so that the same search, started
    again, goes on where it was interrupted.
    """

    def search(self, facts: Mapping[str, Any], parallel: int) -> None:
        """Runs the trials that are left.

        Args:
          facts: arguments of `components.tune.orders.SearchFacts` but `place`.
          parallel: how many run at a time.

        Raises:
          TuningError: none of all trials came to its end.
        """
        self.oracle.verbose = 0
        self.save()
        self._epochs = facts["recipe"]["epochs"]
        self._task = tasks.find(facts["recipe"]["task"])
        self._changed = threading.Condition()
        self._stopped = False
        processes = [Process(SearchFacts(**facts, place=place)) for place in range(parallel)]
        with ThreadPoolExecutor(parallel) as pool:
            try:
                for place in [pool.submit(self._run_trials, process) for process in processes]:
                    place.result()
            finally:
                self._stop()
                for process in processes:
                    process.end()
        if not any(trial.status == TrialStatus.COMPLETED for trial in self.oracle.trials.values()):
            raise TuningError(_why_none(self.rows()))

    def rows(self) -> list[dict[str, Any]]:
        """What came of each trial, in their order.

        Returns:
          `trial`, `status` ("COMPLETED" or "FAILED"), `values` by path, `epochs`, `seconds`,
          `score` (the task's `monitor` on the held-out images) and `error`; null where there is
          none.
        """
        rows = []
        for trial in sorted(self.oracle.trials.values(), key=lambda trial: trial.trial_id):
            outcome = json.loads(io_utils.read_string_file(self._outcome(trial.trial_id)))
            rows.append(
                {
                    "trial": trial.trial_id,
                    "status": trial.status,
                    "values": chosen(trial.hyperparameters.values),
                    "epochs": outcome.get("epoch"),
                    "seconds": outcome.get("seconds"),
                    "score": trial.score,
                    "error": outcome.get("error"),
                }
            )
        return rows

    def _run_trials(self, process: Process) -> None:
        """Runs trials in one place until there are none left."""
        try:
            while (trial := self._next(process.name)) is not None:
                outcome = self._outcome_of(trial, process)
                if self._stopped:
                    return
                self._end(trial, outcome)
        except BaseException:
            # Another place may be waiting for this one's trial.
            self._stop()
            raise
        finally:
            process.end()

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next(self, place: str) -> Trial | None:
        with self._changed:
            while not self._stopped:
                trial = self.oracle.create_trial(place)
                if trial.status != TrialStatus.IDLE:
                    return trial if trial.status == TrialStatus.RUNNING else None
                # What comes next depends on a trial that another place is running.
                self._changed.wait()
        return None

    def _outcome_of(self, trial: Trial, process: Process) -> dict[str, Any]:
        values = trial.hyperparameters.values
        before = values.get("tuner/trial_id")
        return process.run(
            Order(
                values=values,
                epochs=values.get("tuner/epochs", self._epochs),
                folder=self._checkpoints(trial.trial_id),
                parent=self._checkpoints(before) if before else None,
            )
        )

    def _end(self, trial: Trial, outcome: Mapping[str, Any]) -> None:
        io_utils.write_string_file(self._outcome(trial.trial_id), json.dumps(outcome))
        with self._changed:
            if "error" in outcome:
                trial.status, trial.message = TrialStatus.FAILED, outcome["error"]
            else:
                score = {self._task.monitor: outcome[self._task.monitor]}
                self.oracle.update_trial(trial.trial_id, score, step=outcome["epoch"])
                trial.status = TrialStatus.COMPLETED
            self.oracle.end_trial(trial)
            # The oracle saves itself while it still counts this trial among those that run.
            self.save()
            self._changed.notify_all()
        self._report()

    def _report(self) -> None:
        oracle = self.oracle
        reached = [trial.score for trial in oracle.trials.values() if trial.score is not None]
        text = f"{len(oracle.end_order)} of at most {oracle.max_trials} trials"
        if reached:
            best = min(reached) if self._task.monitor_less_is_better else max(reached)
            text += f", best {self._task.monitor} {best:.4f}"
        progress.report(_STAGE, len(oracle.end_order), oracle.max_trials, text)

    def _checkpoints(self, trial_id: str) -> str:
        return os.path.join(self.get_trial_dir(trial_id), "checkpoints")

    def _outcome(self, trial_id: str) -> str:
        return os.path.join(self.get_trial_dir(trial_id), "outcome.json")


def _why_none(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "the search has no trial: its space is empty"
    (reason, number), *_ = Counter(row["error"] for row in rows).most_common()
    return f"none of {len(rows)} trials came to its end; of {number} the reason is: {reason}"
