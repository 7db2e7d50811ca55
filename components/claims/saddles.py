"""Small nets trained by gradients, by damped Newton and by saddle-free Newton.

Y. Dauphin, R. Pascanu, C. Gulcehre, K. Cho, S. Ganguli, Y. Bengio: Identifying and attacking the
saddle point problem in high-dimensional non-convex optimization. NIPS 2014, section 7, Figure 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from components.claims import images, nets
from components.claims.runs import Outcome
from components.preprocess.transform import normalize
from keras_models.optimizers.saddle_free_newton import DampedNewton, SaddleFreeNewton

_NEWTON = {"damped-newton": DampedNewton, "saddle-free-newton": SaddleFreeNewton}
_CLASSES = 10
_MOMENTUM = 0.9


def descend(settings: Mapping[str, Any], seed: int, check: Callable[..., None]) -> Outcome:
    """Trains one net of one hidden layer of tanh units.

    Args:
      settings: `dataset`, `side` in pixels, `train_images`, `hidden`, and `method`: "sgd" with
        `epochs`, `batch` and `rates`, of which the one with the least loss at the end counts; or
        "damped-newton" or "saddle-free-newton" with `updates`, each from all images.
      seed: of the weights and the order.
      check: called after each pass or update with the part of the training that lies behind.

    Returns:
      Of the training images `train_error` in percent and `train_loss`, and `negative`, how far
      below zero the lowest eigenvalue of the Hessian lies; the curve `train_loss` by pass or
      update.
    """
    pixels, labels = _data(settings)
    method = settings["method"]
    if method == "sgd":
        tries = len(settings["rates"])
        trained = [
            _by_gradients(
                settings, rate, pixels, labels, seed, lambda part, n=n: check((n + part) / tries)
            )
            for n, rate in enumerate(settings["rates"])
        ]
        model, losses = min(trained, key=lambda each: _worst_if_not_finite(each[1]))
    else:
        model, losses = _by_newton(settings, pixels, labels, seed, check)
    last = DampedNewton(model, _loss())
    values = np.linalg.eigvalsh(last.objective.hessian(last.objective.vector, pixels, labels))
    wrong = np.argmax(model.predict_on_batch(pixels), axis=1) != labels
    figures = {
        "train_error": 100.0 * float(np.mean(wrong)),
        "train_loss": last.objective.loss(last.objective.vector, pixels, labels),
        "negative": float(max(0.0, -values[0])),
    }
    places = [float(number) for number in range(1, len(losses) + 1)]
    return Outcome(figures, {"train_loss": (places, losses)})


def _by_gradients(settings, rate, pixels, labels, seed, check):
    model = _net(settings, pixels, seed)
    model.compile(keras.optimizers.SGD(rate, momentum=_MOMENTUM), _loss())
    ended = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: check((epoch + 1) / settings["epochs"])
    )
    history = model.fit(
        pixels,
        labels,
        batch_size=settings["batch"],
        epochs=settings["epochs"],
        callbacks=[ended, keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )
    return model, history.history["loss"]


def _by_newton(settings, pixels, labels, seed, check):
    model = _net(settings, pixels, seed)
    method = _NEWTON[settings["method"]](model, _loss())
    losses = []
    for update in range(1, settings["updates"] + 1):
        losses.append(method.step(pixels, labels)["loss_after"])
        check(update / settings["updates"])
    return model, losses


def _data(settings: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Grey pixels of about one, float32 [N, side, side, 1], and labels, int64 [N]."""
    preprocess = {
        "size": [settings["side"]] * 2,
        "channels": 1,
        "fit": "stretch",
        "range": [0.0, 2.0],
        "mean": "per_pixel",
    }
    part, _ = images.train_and_test(settings["dataset"], preprocess, settings["train_images"], 1)
    values, labels = part.arrays
    return normalize(values, part.mean, preprocess).numpy(), labels.numpy()


def _net(settings: Mapping[str, Any], pixels: np.ndarray, seed: int) -> keras.Model:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    return nets.Dense(pixels.shape[1:], _CLASSES, [settings["hidden"]], "tanh")


def _loss() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _worst_if_not_finite(losses: list[float]) -> float:
    return losses[-1] if np.isfinite(losses[-1]) else float("inf")
