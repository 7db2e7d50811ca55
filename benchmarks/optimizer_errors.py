"""The test error of LeNet-5 on MNIST with each optimizer of the table, at its constants there.

Each is trained as the small recipe `lenet` says, on all training images and over all its epochs.

    python -m benchmarks.optimizer_errors                     # all of them: half an hour
    python -m benchmarks.optimizer_errors sgd adadelta --seed 1
"""

import argparse
import time

from rich.console import Console
from rich.table import Table

from components.claims.training import train
from pipelines.claims._parts import of_recipe
from pipelines.optimizers import OPTIMIZERS

BAR = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("optimizers", nargs="*", default=list(OPTIMIZERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()

    table = Table(title=f"LeNet-5 on MNIST, {arguments.epochs} epochs, seed {arguments.seed}")
    for column in ("optimizer", "training error, %", "test error, %", f"at most {BAR}", "seconds"):
        table.add_column(column, justify="left" if column == "optimizer" else "right")
    for name in arguments.optimizers:
        settings = of_recipe(
            "lenet",
            optimizer=dict(OPTIMIZERS[name]),
            epochs=arguments.epochs,
            train_images=60_000,
            test_images=10_000,
            steps_per_execution=10,
        )
        start = time.perf_counter()
        figures = train(settings, arguments.seed, lambda: None).figures
        errors = figures["train_error"], figures["test_error"]
        met = "yes" if figures["test_error"] <= BAR else "no"
        row = (*(f"{error:.2f}" for error in errors), met, f"{time.perf_counter() - start:.0f}")
        print(name, *row, flush=True)
        table.add_row(name, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
