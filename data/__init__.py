"""Data sets that travel with the package, importable as `convnets_data`."""
