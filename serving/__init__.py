"""Serving: an embedded server that speaks TensorFlow Serving's API, and its client."""
