"""Measures a model by a published protocol and sets the result beside the published figures."""
