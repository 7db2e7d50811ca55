"""The report's words."""

from components.report.evidence import Headline


def headline(evidence):
    """The share of mistakes."""
    value = evidence.judgement["metrics"]["mistaken"]
    return Headline(f"{100 * value:.1f} %", "of the pictures mistaken", "mistaken")


def facts(evidence):
    """None."""
    del evidence
    return ()


def curves(history):
    """None."""
    del history
    return {}


def sections(evidence):
    """None."""
    del evidence
    return ()
