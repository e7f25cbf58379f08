"""Check of a model's params: valid input is accepted, other input is refused."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from polyrelay.testing.service_fixture import ServiceFixture

NO_FIELD: Final = "no_such_field_of_any_model"
WRONG: Final[tuple[object, ...]] = ([[[]]], {NO_FIELD: {}}, "\x00?", -1.5, True)


def params_refuse_what_is_wrong(fixture: ServiceFixture) -> Iterator[str]:
    """The model accepts the talk's params, and refuses them with an unknown field or a value of another type."""
    fixture.job()
    params = dict(fixture.talk.params)
    if _taken(fixture, {**params, NO_FIELD: 1}):
        yield "an unknown field is accepted: make params a subclass of polyrelay.Params, which forbids it"
    for name in params:
        if all(_taken(fixture, {**params, name: wrong}) for wrong in WRONG):
            yield f"{name} accepts a list, an object, a text, a number and a boolean: give it a type"


def _taken(fixture: ServiceFixture, params: dict[str, Any]) -> bool:
    """Whether the model accepts the params. It refuses with a ValueError, as msgspec does; other errors are defects."""
    try:
        msgspec.convert(params, fixture.model.params)
    except ValueError:
        return False
    return True
