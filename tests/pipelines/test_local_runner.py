"""What the local runner does around TFX's launcher."""

import subprocess
import sys

from tests.photos import write_crops

INGESTION = """
import sys
from pathlib import Path
from components.ingest import engine
from components.ingest.sources import prepare, resolve
from pipelines import recipes
from pipelines.beam import Beam
from pipelines.build import create_pipeline
from pipelines.local_runner import LocalRunner
from pipelines.paths import Paths

folder = Path(sys.argv[1])
tell = engine._WriteShard._tell

def told(self, *arguments):
    (folder / "forked").touch()
    tell(self, *arguments)

# A worker that was started anew would not have it.
engine._WriteShard._tell = told
beam = Beam(arguments=("--direct_running_mode=multi_processing", "--direct_num_workers=2"))
recipe = recipes.find("lenet-relu").on_data(str(folder / "photos"))
source = prepare(resolve(recipe.dataset))
pipeline = create_pipeline(recipe, source, Paths(str(folder)), beam=beam)
LocalRunner(lambda *_, **__: None, last="ImageExampleGen").run(pipeline)
"""


def test_ingestion_forks_its_workers_under_tfx(tmp_path):
    write_crops(tmp_path / "photos", 10)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INGESTION, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "forked").exists()
