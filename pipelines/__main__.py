"""`python -m pipelines` is the command `convnets`."""

from pipelines.cli import main

# Processes that the command starts import this module, too.
if __name__ == "__main__":
    main(prog_name="convnets")
