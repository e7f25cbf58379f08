"""Static checks of an installed provider: no calls to its services, no pytest."""

from msgspec import Struct

from polyrelay.provider import Provider
from polyrelay.testing.checks.all import STATIC


class Finding(Struct, frozen=True, kw_only=True):
    """
    A violation of the contract.

    Attributes:
        check: The name of the check that found it.
        message: What is wrong and what to do, in one sentence.
    """

    check: str
    message: str


def check(provider: Provider) -> list[Finding]:
    """
    Run the static checks on a provider and return what they find, in the order of the checks.

    A check that fails with an exception is a finding too: no exception of a plugin is raised here.
    """
    found: list[Finding] = []
    for one in STATIC:
        name = one.run.__name__
        try:
            found += [Finding(check=name, message=message) for message in one.run(provider)]
        except Exception as error:  # plugin code
            found.append(Finding(check=name, message=f"it could not be checked: {type(error).__name__}: {error}"))
    return found
