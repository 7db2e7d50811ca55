"""Runs small recipes one after another, unattended, and prints what each reached and took.

    python benchmarks/small_recipes.py                       # all of them: hours
    python benchmarks/small_recipes.py cifar-resnet20 vgg16 --seed 1

A recipe that fails does not keep the others from running; the exit code is 1 then.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines import recipes, runs


def run(name: str, root: Path, seed: int) -> tuple[dict, bool]:
    """The summary of a run of a small recipe, and whether it succeeded."""
    command = [sys.executable, "-m", "pipelines", "run", name]
    command += ["--root", str(root), "--seed", str(seed)]
    code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    return runs.summaries(root, name)[-1], code == 0


def row(summary: dict, succeeded: bool) -> list[str]:
    recipe = recipes.find(summary["recipe"])
    stages = {stage["stage"]: stage["seconds"] for stage in summary["stages"]}
    times = f"{summary['seconds'] / 60:.1f}", f"{stages.get('Trainer', 0) / 60:.1f}"
    if not succeeded:
        return [summary["recipe"], recipe.dataset, str(recipe.epochs), *times, summary["error"]]
    judgement = json.loads(Path(summary["judgement"]).read_text())
    error = f"{100 * judgement['metrics']['error']:.2f} %"
    return [summary["recipe"], recipe.dataset, str(recipe.epochs), *times, error]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=list(recipes.all_recipes()))
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    table = Table(title=f"small recipes, seed {arguments.seed}")
    for heading in ("recipe", "data", "epochs", "minutes", "of it training", "test error"):
        table.add_column(heading)
    failed = False
    for name in arguments.recipes:
        summary, succeeded = run(name, arguments.root, arguments.seed)
        table.add_row(*row(summary, succeeded))
        failed |= not succeeded
        print(*row(summary, succeeded), sep="  ", flush=True)
    Console().print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
