"""Linear classifiers on features, and the few examples per class that they learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

# Weights of the training errors against that of the margin; the papers do not print theirs. Ten
# times more or less of them changes little but at the very top, where features are few.
C = {"svm": 1.0, "softmax": 100.0}


def _svm(penalty: float, seed: int) -> Any:
    return LinearSVC(C=penalty, random_state=seed)


def _softmax(penalty: float, seed: int) -> Any:
    return LogisticRegression(C=penalty, max_iter=1000, random_state=seed)


CLASSIFIERS: dict[str, Callable[[float, int], Any]] = {"svm": _svm, "softmax": _softmax}


def fitted(classifier: str, features: np.ndarray, labels: np.ndarray, seed: int) -> Pipeline:
    """A classifier on standardised features.

    Its C is divided by the number of features, whose squares a standardised example adds up to:
    so one constant suits layers of any width.

    Args:
      classifier: a key of `CLASSIFIERS`.
      features: float [N, values].
      labels: int [N], of two classes or more.
      seed: of what the classifier draws.
    """
    penalty = C[classifier] / features.shape[1]
    pipeline = make_pipeline(StandardScaler(), CLASSIFIERS[classifier](penalty, seed))
    return pipeline.fit(features, labels)


def ranks(labels: np.ndarray, seed: int) -> np.ndarray:
    """The place of each example in a random order of its class, int64 [N].

    Those with a place below n are n examples of each class (or all, of a smaller class), and those
    of a smaller n are among them.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    places = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        places[members] = np.arange(len(members))
    return places


def accuracy(right: np.ndarray, examples: np.ndarray) -> float:
    """The mean of the classes' accuracies, which is what Zeiler and Fergus report.

    Args:
      right, examples: counts by class; classes without examples do not count.
    """
    there = examples > 0
    return float(np.mean(right[there] / examples[there]))
