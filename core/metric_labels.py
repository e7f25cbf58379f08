"""Names of models as labels of metrics."""

from typing import Final

from core.tasks import Task

OTHER: Final = "other"


class ModelLabels:
    """
    Bounds how many names of models a process counts by: callers of a relay may name any.

    Args:
        most: So many names that came by a relay are told apart; the rest is `other`.
    """

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._relayed: set[str] = set()

    def __call__(self, model: str, task: Task) -> str:
        """The label for a model that the task named."""
        if task.relay is None or model in self._relayed:
            return model
        if len(self._relayed) >= self._most:
            return OTHER
        self._relayed.add(model)
        return model
