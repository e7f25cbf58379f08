"""The tables of errors are compared with the code."""

import inspect
import re
from collections.abc import Callable

from api import problems
from core.failures import CODES
from polyrelay import errors as provider_errors

PAGE = "docs/reference/errors.md"
Tables = Callable[[str], list[list[str]]]


def test_every_failure_code_is_listed_with_its_meaning(rows: Tables) -> None:
    """The page's failure codes and meanings are those of `core.failures`."""
    listed = {row[0].strip("`"): row[1] for row in rows(PAGE) if len(row) == 2}

    assert listed == CODES


def test_every_error_of_the_api_is_listed_with_its_status(rows: Tables) -> None:
    """The page's codes and HTTP statuses are those of the API."""
    listed = {(row[0].strip("`"), int(row[1])) for row in rows(PAGE) if len(row) == 3}

    own = {(kind.code, status) for kind, status in problems.STATUSES.items()}
    http = {(code, status) for status, (code, _) in problems._HTTP.items()}
    assert listed == own | http | {("internal_error", 500)}


def test_every_error_of_the_api_is_explained_as_its_class_is(rows: Tables) -> None:
    """The meaning of a code is the first line of its class."""
    listed = {row[0].strip("`"): row[2] for row in rows(PAGE) if len(row) == 3}

    for kind in problems.STATUSES:
        assert listed[kind.code] == (inspect.getdoc(kind) or "").splitlines()[0]


def test_every_provider_error_is_listed(rows: Tables) -> None:
    """The provider contract lists every class that a provider may raise."""
    listed = {row[0].strip("`") for row in rows("docs/reference/provider-contract.md") if len(row) == 3}

    classes = {name for name, kind in inspect.getmembers(provider_errors, inspect.isclass) if name.isidentifier()}
    assert listed == {
        name for name in classes if issubclass(getattr(provider_errors, name), provider_errors.ProviderError)
    } - {"ProviderError"}


def test_no_page_names_a_code_that_does_not_exist(rows: Tables, page: Callable[[str], str]) -> None:
    """A code in the running text of the explanations is one of the tables'."""
    known = {row[0].strip("`") for row in rows(PAGE)}

    for path in (
        "docs/explanation/task-life.md",
        "docs/explanation/results.md",
        "docs/explanation/guarantees.md",
        "docs/explanation/gates.md",
        "docs/how-to/operate.md",
        "docs/decisions/0010-ambiguous-submits.md",
    ):
        named = set(re.findall(r"`([a-z]+_(?:unknown|lost|exceeded|failed|limited|error))`", page(path)))
        assert named <= known, path
