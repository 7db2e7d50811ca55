"""`python -m pipelines` is the command `convnets`."""

from pipelines.cli import main

main(prog_name="convnets")
