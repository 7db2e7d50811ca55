"""Images that data hold more than once: equal files, and images that look the same."""

from __future__ import annotations

from typing import Any

import pandas as pd

from components.ingest import likeness


def duplicates(facts: pd.DataFrame) -> list[dict[str, Any]]:
    """Groups of examples made of equal files.

    Returns:
      `{"ids", "splits", "labels", "contradicting"}` of each group, those of contradicting labels
      first; `labels` are None where the task has none.
    """
    repeated = facts[facts.duplicated("sha256", keep=False)]
    groups = [
        {
            "ids": list(group["id"]),
            "splits": list(group["split"]),
            "labels": list(group["label"]),
            "contradicting": group["label"].nunique() > 1,
        }
        for _, group in repeated.groupby("sha256", sort=False)
    ]
    return sorted(groups, key=lambda group: (not group["contradicting"], group["ids"]))


def leaks(facts: pd.DataFrame) -> list[dict[str, Any]]:
    """Test images that the training split has too, by their perceptual hashes.

    Returns:
      `{"test", "train", "bits", "labels"}` of each, ids and the two labels, those with the fewest
      bits apart first; 0 bits of equal files and of images that look equal.
    """
    test, train = (facts[facts["split"] == split] for split in ("test", "train"))
    pairs = likeness.near_duplicates(list(test["likeness"]), list(train["likeness"]))
    found = [
        {
            "test": test["id"].iloc[a],
            "train": train["id"].iloc[b],
            "bits": bits,
            "labels": [test["label"].iloc[a], train["label"].iloc[b]],
        }
        for a, b, bits in pairs
    ]
    return sorted(found, key=lambda leak: (leak["bits"], leak["test"]))
