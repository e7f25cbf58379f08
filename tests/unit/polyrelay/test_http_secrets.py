"""Credentials that a vendor repeats in an answer are masked."""

import httpx

from polyrelay import Secret, VendorHttp

KEY = "sk-of-the-operator"


async def test_a_key_that_the_vendor_repeats_is_hidden() -> None:
    """Neither an answer nor an event contains the key."""

    def answer(request: httpx.Request) -> httpx.Response:
        said = f'data: {{"text":"your key is {KEY}"}}\n\ndata: [DONE]\n\n'
        return httpx.Response(200, text=said)

    http = VendorHttp("v", "http://v", hide=(Secret(KEY),), transport=httpx.MockTransport(answer))
    whole = await http.query("GET", "/x")
    events = [event async for event in http.events("/x", json={})]
    await http.aclose()

    assert KEY.encode() not in whole.body
    assert events == [b'{"text":"your key is ***"}']
