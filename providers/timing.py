"""How long vendors may be silent and how often they are asked, from the settings."""

from core.errors import ConfigurationError
from core.units import seconds
from polyrelay import Env


def read_timeout_s(env: Env) -> float:
    """
    `AI_TIMEOUT`: the longest silence while waiting for one answer, in seconds; 300 by default.

    Raises:
        ConfigurationError: It is not a duration.
    """
    text = env.text("AI_TIMEOUT", "300")
    try:
        return seconds(text)
    except ValueError as error:
        raise ConfigurationError(f"AI_TIMEOUT={text!r}: allowed is {error}") from error


def poll_scale(env: Env) -> float:
    """
    `POLL_SCALE`: multiplies the time between polls; 1 by default, less in development.

    Raises:
        ConfigurationError: It is not a number above 0.
    """
    text = env.text("POLL_SCALE", "1")
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise ConfigurationError(f"POLL_SCALE={text!r}: allowed is a number above 0")
    return scale
