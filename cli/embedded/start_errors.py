"""Why an embedded server or a process of the stack did not start."""

from core.errors import ConfigurationError


class ServerNotStarted(ConfigurationError):
    """A server did not start; the text says why and what to do."""


class DataFolderInUse(ServerNotStarted):
    """Another process uses that data folder."""


class PortInUse(ServerNotStarted):
    """Something listens on that port already."""
