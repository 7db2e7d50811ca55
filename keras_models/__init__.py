"""Networks of the convolutional-network literature and the mathematics they need.

Parts: `layers`, `losses`, `classification`, `depth`, `detection`, `analysis`. Everything here is
written on keras, keras.ops and numpy, runs on every Keras backend, and is registered under the
package name "keras_models": import this package before `keras.models.load_model` reads a saved
network.
"""

from keras_models import analysis, classification, depth, detection, layers, losses

__all__ = ["analysis", "classification", "depth", "detection", "layers", "losses"]
