"""Optimizers of the literature that Keras does not have."""

from keras_models.optimizers.diagonal_hessian import DiagonalHessian
from keras_models.optimizers.diagonal_newton import (
    CurvatureOptimizer,
    DiagonalNewton,
    StochasticDiagonalLM,
    with_curvature,
)
from keras_models.optimizers.divergence import Diverged, StopOnDivergence
from keras_models.optimizers.hessian_free import HessianFree
from keras_models.optimizers.objective import Objective
from keras_models.optimizers.rates import with_smaller_rate
from keras_models.optimizers.saddle_free_newton import DampedNewton, SaddleFreeNewton
from keras_models.optimizers.schedules import DivideOnPlateau, SutskeverSGD
from keras_models.optimizers.sfo import SumOfFunctions
from keras_models.optimizers.vsgd import VSGD

__all__ = [
    "VSGD",
    "CurvatureOptimizer",
    "DampedNewton",
    "DiagonalHessian",
    "DiagonalNewton",
    "Diverged",
    "DivideOnPlateau",
    "HessianFree",
    "Objective",
    "SaddleFreeNewton",
    "StochasticDiagonalLM",
    "StopOnDivergence",
    "SumOfFunctions",
    "SutskeverSGD",
    "with_curvature",
    "with_smaller_rate",
]
