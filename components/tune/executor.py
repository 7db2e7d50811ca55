"""Runs a search and writes what TFX's Tuner writes, and every trial, failed ones too."""

import json
import os
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.components.tuner import executor as tfx_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

TRIALS = "trials.json"


class Executor(tfx_executor.Executor):
    """Executor of `components.tune.component.Tuner`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Searches, and removes the search's folder once its result is written.

        Args:
          input_dict: of TFX's Tuner.
          output_dict: of TFX's Tuner; `tuner_results` gets `trials.json` too: the `search` and
            the `space` of the recipe, the `rows` of its trials (see
            `components.tune.search.Search.rows`) and which of them is the `best`.
          exec_properties: of TFX's Tuner; `custom_config` holds `recipe` and `checkpoints`.

        Raises:
          components.tune.search.TuningError: none of the trials came to its end.
        """
        tuner = tfx_executor.search(
            input_dict, exec_properties, self._get_tmp_dir(), print_tuning_summary=False
        )
        tfx_executor.write_best_hyperparameters(tuner, output_dict)
        config = json.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        tune = json.loads(config["recipe"])["tune"]
        trials = {
            "search": tune["search"],
            "space": tune["space"],
            "best": tuner.oracle.get_best_trials()[0].trial_id,
            "rows": tuner.rows(),
        }
        folder = artifact_utils.get_single_uri(
            output_dict[standard_component_specs.TUNER_RESULTS_KEY]
        )
        io_utils.write_string_file(os.path.join(folder, TRIALS), json.dumps(trials, indent=1))
        tf.io.gfile.rmtree(tuner.project_dir)
