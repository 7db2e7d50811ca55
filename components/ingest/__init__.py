"""Ingestion: image data of several kinds to one kind of tf.Example, on Beam."""
