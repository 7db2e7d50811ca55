"""The search for values of a recipe before its training."""
