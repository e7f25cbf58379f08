"""Provider errors as they are stored."""

from collections.abc import Iterator

import pytest

import polyrelay
from core.failures import CODES, failure_of
from polyrelay import ProviderError, Rejected


def all_errors(kind: type[ProviderError] = ProviderError) -> Iterator[type[ProviderError]]:
    """The class and all classes below it, of the public package."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__.startswith("polyrelay"):
            yield from all_errors(below)


@pytest.mark.parametrize("kind", list(dict.fromkeys(all_errors())))
def test_every_provider_error_has_a_listed_code(kind: type[ProviderError]) -> None:
    """Every provider error is stored with a code that programs can look up."""
    failure = failure_of(kind("why", code="V1", http_status=418, request_id="r-1"))
    assert failure.code in CODES
    assert (failure.message, failure.vendor_code, failure.http_status, failure.request_id) == ("why", "V1", 418, "r-1")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("invalid_input", "invalid_input"),
        ("content_blocked", "content_blocked"),
        ("auth", "vendor_auth"),
        ("quota", "vendor_quota"),
        ("not_found", "vendor_not_found"),
        ("a plugin's own word", "invalid_input"),
    ],
)
def test_a_refusal_is_reported_by_its_reason(reason: str, code: str) -> None:
    """Each reason has its code; a reason that a plugin invents has a code as well."""
    assert failure_of(Rejected("no", reason=reason)).code == code  # type: ignore[arg-type]


def test_a_plugins_own_error_is_reported_by_its_base() -> None:
    """A class that a plugin derives counts as the one it derives from."""

    class Busy(polyrelay.Overloaded):
        """A plugin's own kind of `Overloaded`."""

    assert failure_of(Busy("full")).code == "overloaded"


def test_every_error_of_the_contract_is_public() -> None:
    """All provider errors can be imported from the public package."""
    assert {kind.__name__ for kind in all_errors()} <= set(polyrelay.__all__)


def test_codes_are_explained() -> None:
    """Each code is snake_case and has a sentence for people."""
    for code, text in CODES.items():
        assert code.replace("_", "").isalpha()
        assert code == code.lower()
        assert text.endswith(".")
