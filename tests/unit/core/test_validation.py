"""Validation of callers' input against a Struct."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType

from core.errors import FieldProblem, InvalidRequest
from core.validation import LONGEST_VALUE, MOST_PROBLEMS, checked, shown


class Logo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An inner object."""

    text: str
    opacity: Annotated[float, Meta(ge=0, le=1)] | None = None


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Struct that says what is allowed."""

    name: Annotated[str, Meta(min_length=1, max_length=5)]
    size: Literal["small", "large"] = "small"
    count: Annotated[int, Meta(ge=1, le=4)] | None = None
    weight: Annotated[float, Meta(gt=0)] | None = None
    quick: bool = False
    logo: Logo | None = None
    logos: list[Logo] = []
    links: Annotated[tuple[Annotated[str, Meta(pattern="^https?://")], ...], Meta(max_length=3)] = ()
    free: dict[str, Any] = {}
    unset: int | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.quick and self.count == 4:
            raise ValueError("count may be 3 at most when quick is set")


def problems(raw: dict[str, Any], *, strict: bool = True) -> dict[str, FieldProblem]:
    """The problems by field."""
    with pytest.raises(InvalidRequest) as caught:
        checked(raw, Body, strict=strict)
    return {problem.field: problem for problem in caught.value.details}


def test_good_input_is_the_struct() -> None:
    """Valid input is converted to the Struct."""
    body = checked({"name": "fox", "count": 4, "logo": {"text": "x"}, "links": ["http://a"]}, Body)

    assert body == Body(name="fox", count=4, logo=Logo(text="x"), links=("http://a",))


@pytest.mark.parametrize("field", ["size", "count", "weight", "quick", "logo", "logos", "links", "free", "unset"])
def test_null_is_unset_for_every_field(field: str) -> None:
    """An explicit null is the same as leaving the field out, also where the type does not allow null."""
    assert checked({"name": "fox", field: None}, Body) == Body(name="fox")


def test_null_is_unset_inside_of_objects_and_lists_of_them() -> None:
    """Nulls inside of nested Structs are removed; a free object keeps its nulls."""
    raw = {"name": "fox", "logo": {"text": "x", "opacity": None}, "logos": [{"text": "y", "opacity": None}]}

    body = checked({**raw, "free": {"a": None}}, Body)

    assert (body.logo, body.logos, body.free) == (Logo(text="x"), [Logo(text="y")], {"a": None})


def test_a_required_field_that_is_null_is_missing() -> None:
    """A required field that is null counts as missing."""
    assert problems({"name": None})["name"].message == "Required. Allowed: a text of 1 to 5 characters."


@pytest.mark.parametrize(
    ("raw", "field", "message"),
    [
        ({"name": "foxfox"}, "name", "Allowed: a text of 1 to 5 characters."),
        ({"name": 3}, "name", "Allowed: a text of 1 to 5 characters."),
        ({"size": "huge"}, "size", "Allowed: one of large, small."),
        ({"count": 5}, "count", "Allowed: a whole number from 1 to 4."),
        ({"count": "2"}, "count", "Allowed: a whole number from 1 to 4."),
        ({"count": 1.5}, "count", "Allowed: a whole number from 1 to 4."),
        ({"weight": 0}, "weight", "Allowed: a number, more than 0."),
        ({"quick": "yes"}, "quick", "Allowed: true or false."),
        ({"logo": 1}, "logo", "Allowed: an object with text, opacity."),
        ({"logo": {"text": "x", "opacity": 2}}, "logo.opacity", "Allowed: a number from 0 to 1."),
        ({"logos": [{}]}, "logos[0].text", "Required. Allowed: a text."),
        ({"links": ["ftp://x"]}, "links[0]", "Allowed: a text that matches ^https?://."),
        ({"links": ["http://x"] * 4}, "links", "of at most 3 items"),
        ({"links": "http://x"}, "links", "Allowed: a list of at most 3 items, each a text that matches"),
        ({"free": [1]}, "free", "Allowed: an object."),
        ({"sise": "small"}, "sise", "There is no such field. Did you mean size?"),
        ({"logo": {"text": "x", "opacty": 1}}, "logo.opacty", "Did you mean opacity? Allowed: text, opacity."),
        ({"quick": True, "count": 4}, "count", "count may be 3 at most when quick is set."),
    ],
)
def test_a_wrong_field_is_reported_with_what_is_allowed(raw: dict[str, Any], field: str, message: str) -> None:
    """Each kind of problem has the path of the field and says what is allowed."""
    found = problems({"name": "fox", **raw})

    assert list(found) == [field]
    assert message in found[field].message


def test_all_wrong_fields_are_named_at_once() -> None:
    """Problems at all depths are reported together."""
    raw = {
        "size": "huge",
        "count": 9,
        "logos": [{"text": 1}, {"text": "x"}, 3],
        "links": ["a", "http://b", "c"],
        "x": 1,
    }

    assert set(problems(raw)) == {"name", "size", "count", "logos[0].text", "logos[2]", "links[0]", "links[2]", "x"}


def test_the_number_of_problems_is_limited() -> None:
    """The number of problems in an error is limited."""
    raw = {"name": "fox", "logos": [1] * 1000}

    assert len(problems(raw)) == MOST_PROBLEMS


def test_texts_of_a_query_are_read_as_numbers() -> None:
    """Texts of a query are converted where `strict` is false, and refused where they cannot be."""
    assert checked({"name": "fox", "count": "3", "quick": "true"}, Body, strict=False).count == 3
    assert problems({"name": "fox", "count": "three"}, strict=False)["count"].value == "three"


@pytest.mark.parametrize("value", [None, True, 3, -1.5, "", "text"])
def test_short_values_are_shown_as_they_came(value: Any) -> None:
    """A short value keeps its type."""
    assert shown(value) == value


def test_long_values_are_cut() -> None:
    """A long value is shown as a text with its length."""
    assert shown("fox " * 100).endswith("… (400 characters)")
    assert shown("QUJD" * 1000) == f"{'QUJD' * 8}… (4000 characters of base64)"
    assert shown("data:image/png;base64," + "QUJD" * 1000).startswith("data:image/png;base64,")
    assert shown({"a": 1}) == '{"a":1}'
    assert len(shown({"a": "x" * 1000})) <= LONGEST_VALUE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
fields = st.sampled_from(list(Body.__struct_fields__)) | st.text(max_size=8)


@given(raw=st.dictionaries(fields, json_values, max_size=6))
def test_any_object_is_good_or_has_problems(raw: dict[str, Any]) -> None:
    """Any JSON object gives the Struct or problems, which are short and can be encoded as JSON."""
    try:
        body = checked(raw, Body)
    except InvalidRequest as error:
        found = error.details
    else:
        assert isinstance(body, Body)
        return
    assert found
    for problem in found:
        assert problem.message
        assert len(msgspec.json.encode(problem.value)) <= 6 * LONGEST_VALUE + 2


@given(value=json_values)
def test_what_is_shown_is_never_long(value: Any) -> None:
    """A shown value has at most 200 characters."""
    assert len(str(shown(value))) <= LONGEST_VALUE
