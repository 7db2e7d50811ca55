"""Measures a candidate beside the served model, on data with the same classes."""
