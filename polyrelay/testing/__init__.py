"""
Conformance kit: checks a provider against the provider contract before it is published.

    from polyrelay.testing import ProviderContract, Reply, Talk

    class TestAcme(ProviderContract):
        plugin = polyrelay_acme
        env = {"ACME_API_KEY": "made-up-acme-key"}
        talks = [
            Talk(
                model="acme-1",
                params={"prompt": "a fox"},
                accepted=Reply(json={"id": "d1"}),
                refused=Reply(status=400, json={"error": "prompt too long"}),
                working=Reply(json={"id": "d1", "state": "drawing"}),
                done=Reply(json={"id": "d1", "state": "done", "url": "https://acme.example/d1.png"}),
            )
        ]

It needs pytest only. The kit builds the providers with the plugin's hook, as a server does, and replaces the transport
of httpx with the vendor's scripted answers.
"""

from polyrelay.testing.suite import ProviderContract
from polyrelay.testing.talks import Reply, Talk

__all__ = ["ProviderContract", "Reply", "Talk"]
