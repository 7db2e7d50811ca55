"""How often the answer is on the wrong side of `bound`."""

import numpy as np


def rows(answers, truths, arguments):
    """float64 [N, 1]: 1 where an answer is wrong."""
    given = np.asarray(answers["kin"], np.float64)
    right = np.isfinite(given) & ((given > arguments["bound"]) == (np.asarray(truths) > 0.5))
    return 1.0 - right.astype(np.float64)[:, None]


def figures(rows, arguments):
    """The share of the wrong ones."""
    del arguments
    return {"mistaken": float(rows.mean()) if len(rows) else None}


def constant(truths, names, arguments):
    """How often pictures belong together."""
    del names, arguments
    return {"kin": np.array([np.concatenate(list(truths)).mean()], np.float32)}


def needed(rows, level, arguments):
    """Fewer mistakes than the same answer makes."""
    del level
    error = figures(rows, arguments)["mistaken"]
    return np.nextafter(error, -1), f"needs less than {error:.4f}"


def of_training(history, wanted):
    """Nothing."""
    del history, wanted
    return {}
