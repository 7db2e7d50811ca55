"""Recipes, the TFX pipeline built from them, the runners and the command line."""
