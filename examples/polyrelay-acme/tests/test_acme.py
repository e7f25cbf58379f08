"""Tests of the provider contract, and of the statuses of Acme."""

import polyrelay_acme
import pytest
from polyrelay import Answer, Overloaded, Rejected
from polyrelay.testing import ProviderContract, Reply, Talk

URL = "https://files.acme.example/p-1.png"


class TestProvider(ProviderContract):
    """The conformance kit: all that the server relies on."""

    plugin = polyrelay_acme
    env = {"ACME_API_KEY": "a-made-up-key-of-acme"}
    talks = (
        Talk(
            model="acme-1",
            params={"prompt": "a fox", "size": "512x512"},
            accepted=Reply(status=202, json={"id": "p-1", "state": "queued"}),
            refused=Reply(status=451, json={"message": "we do not draw this"}),
            working=Reply(json={"id": "p-1", "state": "drawing"}),
            done=Reply(json={"id": "p-1", "state": "done", "url": URL}),
            failed=Reply(json={"id": "p-1", "state": "failed"}),
        ),
    )


def test_a_blocked_prompt_is_rejected_as_such() -> None:
    """Status 451 means that the content was refused."""
    error = polyrelay_acme.fault(Answer(status=451, headers={}, body=b"{}"))

    assert isinstance(error, Rejected)
    assert error.reason == "content_blocked"


@pytest.mark.parametrize(("status", "kind"), [(409, Overloaded), (429, type(None)), (500, type(None))])
def test_too_many_open_pictures_are_tried_again_later(status: int, kind: type) -> None:
    """Status 409 means that nothing was started; the other statuses have their usual meaning."""
    assert isinstance(polyrelay_acme.fault(Answer(status=status, headers={}, body=b"{}")), kind)
