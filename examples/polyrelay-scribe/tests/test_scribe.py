"""The contract of polyrelay, including cancel and stream."""

import polyrelay_scribe
from polyrelay.testing import ProviderContract, Reply, Talk

EVENTS = b"""data: {"text": "Once"}

data: {"text": " upon a time."}

data: {"end": "stop", "words": 4}

data: [DONE]

"""


class TestProvider(ProviderContract):
    """The provider keeps the contract."""

    plugin = polyrelay_scribe
    env = {"SCRIBE_API_KEY": "a-made-up-key-of-scribe"}
    talks = (
        Talk(
            model="scribe-1",
            params={"prompt": "a fable"},
            accepted=Reply(status=202, json={"id": "t-1", "state": "writing"}),
            refused=Reply(status=400, json={"message": "too short"}),
            working=Reply(json={"id": "t-1", "state": "writing"}),
            done=Reply(json={"id": "t-1", "state": "written", "text": "Once upon a time.", "words": 4}),
            failed=Reply(json={"id": "t-1", "state": "failed"}),
            cancelled=Reply(json={"id": "t-1", "state": "stopped"}),
            too_late=Reply(status=410, json={"message": "too late"}),
            streamed=Reply(body=EVENTS, headers={"content-type": "text/event-stream"}),
        ),
    )
