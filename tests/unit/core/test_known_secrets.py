"""Secrets of the process itself are hidden by their value."""

from core.redaction import HIDDEN, SHORTEST_SECRET, redaction


def test_a_known_secret_of_the_shortest_length_is_hidden() -> None:
    """A known value is hidden from `SHORTEST_SECRET` characters on; shorter ones would hide ordinary words."""
    shortest, too_short = "q" * SHORTEST_SECRET, "z" * (SHORTEST_SECRET - 1)
    redact = redaction([shortest, too_short])

    assert redact({"note": f"a {shortest} b"}) == {"note": f"a {HIDDEN} b"}
    assert redact({"note": f"a {too_short} b"}) == {"note": f"a {too_short} b"}


def test_the_longer_of_two_overlapping_secrets_is_hidden_whole() -> None:
    """If one known secret begins with another, no rest of the longer one is shown."""
    short, long = "alpha-beta", "alpha-beta-gamma"

    assert redaction([short, long])({"note": f"a {long} b"}) == {"note": f"a {HIDDEN} b"}
