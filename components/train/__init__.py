"""Training with Keras: what TFX's Trainer runs."""
