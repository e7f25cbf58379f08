"""A model takes what it says, and nothing else."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from polyrelay.testing.scene import Scene

NO_FIELD: Final = "no_such_field_of_any_model"
WRONG: Final[tuple[object, ...]] = ([[[]]], {NO_FIELD: {}}, "\x00?", -1.5, True)


def params_refuse_what_is_wrong(scene: Scene) -> Iterator[str]:
    """The model takes the talk's params, refuses them with an unknown field, and with a value of another type."""
    scene.job()
    params = dict(scene.talk.params)
    if _taken(scene, {**params, NO_FIELD: 1}):
        yield "an unknown field is taken: make params a subclass of polyrelay.Params, which forbids it"
    for name in params:
        if all(_taken(scene, {**params, name: wrong}) for wrong in WRONG):
            yield f"{name} takes a list, an object, a text, a number and a boolean: give it a type"


def _taken(scene: Scene, params: dict[str, Any]) -> bool:
    """Whether the model takes it. It refuses with a ValueError, as msgspec does; anything else is a defect too."""
    try:
        msgspec.convert(params, scene.model.params)
    except ValueError:
        return False
    return True
