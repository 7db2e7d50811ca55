"""Retraining: when, whether and how often; see docs/retraining.md."""
