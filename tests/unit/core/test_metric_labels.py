"""Labels of metrics are not without number."""

from core.metric_labels import OTHER, ModelLabels
from core.tasks import RelayCall
from tests.contracts.tasks import a_task

CALL = RelayCall(action="CVProcess", version="2022-08-31")


def test_names_that_came_by_a_relay_are_bounded() -> None:
    """Whoever makes up names cannot fill the memory; those that were known stay."""
    label, task = ModelLabels(most=2), a_task(relay=CALL)

    assert [label(name, task) for name in ("a", "b", "c", "a", "b", "d")] == ["a", "b", OTHER, "a", "b", OTHER]


def test_names_of_the_catalogue_are_always_reported() -> None:
    """There are as many as the operator has models."""
    label = ModelLabels(most=0)

    assert label("painter", a_task()) == "painter"
