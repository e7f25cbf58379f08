"""List of all checks, in the order in which they run and are documented."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from polyrelay.provider import Provider
from polyrelay.testing.checks import any_bytes, capabilities, models, params, plugin, poll, process, secrets, submit
from polyrelay.testing.service_fixture import ServiceFixture, SetUp
from polyrelay.testing.talks import Talk

Findings: TypeAlias = Iterator[str]
Field: TypeAlias = Literal["done", "cancelled", "streamed"]


class ProviderCheck(Struct, frozen=True):
    """Inspects a provider without a call to its services."""

    run: Callable[[Provider], Findings]


class PluginCheck(Struct, frozen=True):
    """Calls a plugin's hook and inspects what it registers."""

    run: Callable[[SetUp], Findings]


class TalkCheck(Struct, frozen=True):
    """
    Calls a service that has a scripted vendor.

    Attributes:
        run: Yields one sentence for each problem.
        needs: The field of the talk that the check requires, such as `done` for polls.
        each_model: Whether the check runs for every model of a talk, because it depends on the params.
    """

    run: Callable[[ServiceFixture], Findings]
    needs: Field | None = None
    each_model: bool = False

    def applies(self, talk: Talk) -> bool:
        """Whether the talk has the answers that the check requires."""
        return self.needs is None or bool(getattr(talk, self.needs))


Check: TypeAlias = ProviderCheck | PluginCheck | TalkCheck

STATIC: Final[Sequence[ProviderCheck]] = (
    ProviderCheck(models.services_are_asynchronous),
    ProviderCheck(models.models_are_sane),
    ProviderCheck(models.params_are_strict),
    ProviderCheck(models.schemas_are_valid),
)
CHECKS: Final[Sequence[Check]] = (
    *STATIC,
    PluginCheck(plugin.registers_without_network),
    PluginCheck(plugin.disabled_without_credentials),
    PluginCheck(plugin.talks_cover_the_models),
    TalkCheck(params.params_refuse_what_is_wrong, each_model=True),
    TalkCheck(process.network_is_reached_with_httpx),
    TalkCheck(process.loop_is_not_blocked),
    TalkCheck(process.aclose_is_harmless),
    TalkCheck(submit.submit_is_answered, each_model=True),
    TalkCheck(submit.submit_by_status),
    TalkCheck(submit.submit_without_connection),
    TalkCheck(submit.submit_without_answer),
    TalkCheck(submit.submit_cut_off),
    TalkCheck(submit.submit_is_sent_once),
    TalkCheck(any_bytes.any_bytes_to_submit),
    TalkCheck(poll.poll_is_answered, "done", each_model=True),
    TalkCheck(poll.poll_is_repeatable, "done"),
    TalkCheck(poll.poll_needs_no_memory, "done"),
    TalkCheck(poll.poll_by_status, "done"),
    TalkCheck(poll.poll_without_answer, "done"),
    TalkCheck(any_bytes.any_bytes_to_poll, "done"),
    TalkCheck(secrets.secrets_are_not_shown),
    TalkCheck(capabilities.cancel_is_answered, "cancelled"),
    TalkCheck(capabilities.cancel_fails_openly, "cancelled"),
    TalkCheck(capabilities.stream_is_answered, "streamed"),
    TalkCheck(capabilities.stream_fails_openly, "streamed"),
)
BY_NAME: Final = {check.run.__name__: check for check in CHECKS}


def rule_of(check: Check) -> str:
    """The rule that the check verifies, in one sentence."""
    return (check.run.__doc__ or "").strip()
