"""Images as input of Ark and OpenAI: links and data URIs."""

import pytest

from services.vendors.images import embedded


def test_a_data_uri_has_its_media_type_and_bytes() -> None:
    """The data is decoded from base64."""
    assert embedded("data:image/png;base64,iVBORw==") == ("image/png", b"\x89PNG")


@pytest.mark.parametrize("reference", ["https://host.example/a.png", "data:text/plain;base64,aGk=", ""])
def test_other_references_are_not_embedded(reference: str) -> None:
    """The value is None for a link and for data that is not an image."""
    assert embedded(reference) is None


@pytest.mark.parametrize("data", ["iVBOR", "iVBO!w==", "iVBO Rw=="])
def test_damaged_base64_is_refused_with_its_media_type(data: str) -> None:
    """Wrong padding and characters outside of the alphabet are errors; the message does not quote the data."""
    with pytest.raises(ValueError, match="given as image/png is not base64") as caught:
        embedded(f"data:image/png;base64,{data}")
    assert data not in str(caught.value)
