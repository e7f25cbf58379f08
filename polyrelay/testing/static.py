"""The part of the kit that calls nobody: what can be said of an installed provider. It needs no pytest."""

from msgspec import Struct

from polyrelay.provider import Provider
from polyrelay.testing.checks.all import STATIC


class Finding(Struct, frozen=True, kw_only=True):
    """
    Something that breaks the contract.

    Attributes:
        check: The name of the check that found it.
        message: What is wrong and what to do, in one sentence.
    """

    check: str
    message: str


def check(provider: Provider) -> list[Finding]:
    """
    What is wrong with a provider, in the order of the checks; empty where nothing is.

    A check that breaks because of what it looks at is a finding too: nothing that a plugin does is raised here.
    """
    found: list[Finding] = []
    for one in STATIC:
        name = one.run.__name__
        try:
            found += [Finding(check=name, message=message) for message in one.run(provider)]
        except Exception as error:  # plugin code
            found.append(Finding(check=name, message=f"it could not be checked: {type(error).__name__}: {error}"))
    return found
