"""The number of model names in metric labels is limited."""

import pytest

from api.metrics import Metrics
from core.metric_labels import OTHER, ModelLabels
from core.task_states import State
from core.tasks import RelayCall
from tests.contracts.tasks import NOW, a_task
from worker.metrics import WorkerMetrics

CALL = RelayCall(action="CVProcess", version="2022-08-31")


def test_model_names_from_relays_are_limited() -> None:
    """Further names share one label, so invented names cannot fill the memory; known names keep theirs."""
    label = ModelLabels(most=2)

    assert [label(name) for name in ("a", "b", "c", "a", "b", "d")] == ["a", "b", OTHER, "a", "b", OTHER]


@pytest.mark.parametrize("relay", [None, CALL])
def test_model_names_of_the_catalogue_are_not_limited(relay: RelayCall | None) -> None:
    """The catalogue limits them already: of 300 models each has its own label, but of relayed ones only 200 have."""
    api, worker = Metrics(), WorkerMetrics()
    for number in range(300):
        task = a_task(model=f"model-{number}", relay=relay)
        api.created(task)
        worker.changed(task.to(State.FAILED, now=NOW))

    for text in (api.text().decode(), worker.text(running=0).decode()):
        assert ('model="model-299"' in text) == (relay is None)
        assert (f'model="{OTHER}"' in text) == (relay is not None)
