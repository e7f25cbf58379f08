"""The number of model names in metric labels is limited."""

from core.metric_labels import OTHER, ModelLabels
from core.tasks import RelayCall
from tests.contracts.tasks import a_task

CALL = RelayCall(action="CVProcess", version="2022-08-31")


def test_model_names_from_relays_are_limited() -> None:
    """Further names share one label, so invented names cannot fill the memory; known names keep theirs."""
    label, task = ModelLabels(most=2), a_task(relay=CALL)

    assert [label(name, task) for name in ("a", "b", "c", "a", "b", "d")] == ["a", "b", OTHER, "a", "b", OTHER]


def test_model_names_of_the_catalogue_are_not_limited() -> None:
    """The catalogue of the operator limits them already."""
    label = ModelLabels(most=0)

    assert label("painter", a_task()) == "painter"
