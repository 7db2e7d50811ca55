"""Runs small recipes one after another, unattended, and prints what each reached and took.

    python benchmarks/small_recipes.py                       # all of them: hours
    python benchmarks/small_recipes.py cifar-resnet20 vgg16 --seed 1

A recipe that fails does not keep the others from running; the exit code is 1 then. Those that
retrain another's network come last, and one whose images are no data set known by name is left out
unless it is asked for.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines import recipes
from pipelines.history import runs


def unattended() -> list[str]:
    """The recipes that need nothing but what can be fetched, those that retrain others last."""
    small = [sizes["small"] for sizes in recipes.all_recipes().values()]
    known = [each for each in small if each.dataset.startswith(("mnist", "cifar10", "tfds:"))]
    return [each.name for each in sorted(known, key=lambda each: each.transfer is not None)]


def run(name: str, root: Path, seed: int) -> tuple[list[str], bool]:
    """What a small recipe's run came to, and whether it succeeded."""
    recipe = recipes.find(name)
    facts = [name, recipe.dataset, str(recipe.epochs)]
    command = [sys.executable, "-m", "pipelines", "run", name]
    command += ["--root", str(root), "--seed", str(seed)]
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        return [*facts, "", "", ran.stderr.strip().splitlines()[-1]], False
    summary = runs.summaries(root, name)[-1]
    stages = {stage["stage"]: stage["seconds"] for stage in summary["stages"]}
    judgement = json.loads(Path(summary["judgement"]).read_text())
    error = f"{100 * judgement['metrics']['error']:.2f} %"
    times = summary["seconds"], stages["Trainer"]
    return [*facts, *(f"{seconds / 60:.1f}" for seconds in times), error], True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=unattended())
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    table = Table(title=f"small recipes, seed {arguments.seed}")
    for heading in ("recipe", "data", "epochs", "minutes", "of it training", "test error"):
        table.add_column(heading)
    failed = False
    for name in arguments.recipes:
        row, succeeded = run(name, arguments.root, arguments.seed)
        table.add_row(*row)
        failed |= not succeeded
        print(*row, sep="  ", flush=True)
    Console().print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
