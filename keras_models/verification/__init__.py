"""Nets for faces: who somebody is, and whether two pictures show the same person.

The contract of all of them:

- `DeepFace` is a classifier, of the contract of `keras_models.classification`.
- The others are functions `Name(input_shape, ..., base=None, weights=None, name=...)` of two
  pictures. Input: a mapping of "image" and "pair", each a float tensor [N, H, W, channels],
  channels last. Output: one float32 tensor [N, 1] in every dtype policy, the higher the surer
  that both show the same; above 0 they are taken for the same.
- `base` is the .keras file of a trained `DeepFace`, whose features they compare.
- The loss compares with 1 (the same) and 0, and takes logits.
- A wrong argument is a ValueError that says what is allowed.
"""

from keras_models.verification.deepface import DeepFace
from keras_models.verification.pairs import (
    InnerProduct,
    PixelDistance,
    Siamese,
    WeightedChiSquared,
)

__all__ = ["DeepFace", "InnerProduct", "PixelDistance", "Siamese", "WeightedChiSquared"]
