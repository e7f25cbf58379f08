"""Settings of a command, with errors as exit code 2."""

from cli.output import Misused
from core.errors import ConfigurationError
from core.settings import Settings, read_settings


def settings_or_exit() -> Settings:
    """
    The settings of the environment and `.env`.

    Raises:
        Misused: A setting is not valid; names each one. Exit code 2.
    """
    try:
        return read_settings()
    except ConfigurationError as error:
        raise Misused(str(error)) from error
