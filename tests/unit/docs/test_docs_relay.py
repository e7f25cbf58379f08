"""The relay's page is compared with the code."""

from collections.abc import Callable

from api.views.relay import OF_AUTHENTICATION, OF_SERVICE
from core.attempts import Failure
from services.relay.failures import CODES, EXPIRED, query_failure, submit_failure
from services.relay.responses import GATEWAY, NOT_FOUND, STATUSES
from services.vendors.jimeng.relays import QUERIES, QUERY_OF

PAGE = "docs/reference/relay.md"
Tables = Callable[[str], list[list[str]]]


def sent_to_query(failure: Failure) -> str:
    """As the page says it."""
    reported = query_failure(failure)
    if reported == EXPIRED:
        return "`expired`"
    if reported == NOT_FOUND:
        return "`not_found`"
    assert reported == submit_failure(failure)
    return "the same"


def test_every_action_is_listed(rows: Tables) -> None:
    """With its kind, in the order of the code."""
    listed = [(row[0], row[1]) for row in rows(PAGE) if len(row) == 3 and row[1] in {"submit", "query"}]

    assert listed == [
        *((f"`{action}`", "submit") for action in QUERY_OF),
        *((f"`{action}`", "query") for action in sorted(QUERIES, key=lambda name: "Sync2" not in name)),
    ]


def test_every_failure_is_translated_as_the_code_does(rows: Tables) -> None:
    """The codes for a submit and for a query, where the vendor's own code is not known."""
    decided = {}
    for code in CODES:
        failure = Failure(code=code, message="no")
        decided[f"`{code}`"] = [str(submit_failure(failure).code), sent_to_query(failure)]

    reported = {"`expired`", "`not_found`", "the same"}
    assert {row[0]: row[1:] for row in rows(PAGE) if len(row) == 3 and row[2] in reported} == decided


def test_errors_about_the_caller_are_translated_as_the_code_does(rows: Tables) -> None:
    """With the gateway's code, number and status."""
    decided = {
        f"`{code}`": [f"`{ours}`", str(GATEWAY[ours][1]), str(GATEWAY[ours][0])]
        for code, ours in OF_AUTHENTICATION.items()
    }

    listed = {row[0]: row[1:] for row in rows(PAGE) if len(row) == 4}

    assert {code: listed.get(code) for code in decided} == decided


def test_every_code_of_the_gateway_is_listed(rows: Tables) -> None:
    """Each code that the relay uses, with its number and status."""
    listed = {(row[1], row[2], row[3]) for row in rows(PAGE) if len(row) == 4 and row[2].isdecimal()}

    assert listed == {(f"`{code}`", str(number), str(status)) for code, (status, number) in GATEWAY.items()}


def test_errors_of_the_service_are_translated_as_the_code_does(rows: Tables) -> None:
    """Each of our codes stands in the row of its code, with that code's status."""
    found = {row[1]: row for row in rows(PAGE) if len(row) == 3 and row[1].isdecimal() and row[2][:3].isdecimal()}
    for code, ours in OF_SERVICE.items():
        assert f"`{code}`" in found[str(ours)][0]
    for number, row in found.items():
        assert row[2].startswith(str(STATUSES[int(number)][0])), number
