"""Whether data are fit to train on."""
