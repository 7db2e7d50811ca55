"""Asks a candidate model real questions in the server before it is pushed."""
