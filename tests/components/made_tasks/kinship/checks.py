"""Probabilities."""


def objections(answers, names):
    """An answer outside of 0..1."""
    del names
    outside = (answers["kin"] < 0) | (answers["kin"] > 1)
    return ["kin is no probability"] if outside.any() else []


def check(answers, truths, names):
    """As many answers as truths."""
    del names
    if len(answers["kin"]) != len(truths):
        raise ValueError("other examples")
