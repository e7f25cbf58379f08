"""Metric labels: limits how many model names a process uses as values of a label."""

from typing import Final

OTHER: Final = "other"


class ModelLabels:
    """
    Limits the number of model names in the labels of metrics, because callers of a relay may send any name.

    Args:
        most: Number of model names from relays that get a label of their own. All further ones share `other`.
    """

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._relayed: set[str] = set()

    def __call__(self, model: str) -> str:
        """The label for a model of a relayed task. Other models are in the catalogue, which limits their number."""
        if model in self._relayed:
            return model
        if len(self._relayed) >= self._most:
            return OTHER
        self._relayed.add(model)
        return model
