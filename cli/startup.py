"""Reading the settings for a command."""

from cli.output import Misused
from core.errors import ConfigurationError
from core.settings import Settings, read_settings


def settings_or_exit() -> Settings:
    """
    The settings of the environment and `.env`.

    Raises:
        Misused: They are wrong: exit code 2, with each mistake named.
    """
    try:
        return read_settings()
    except ConfigurationError as error:
        raise Misused(str(error)) from error
