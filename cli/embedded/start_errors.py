"""Errors of starting an embedded server or a process of the stack."""

from core.errors import ConfigurationError


class ServerNotStarted(ConfigurationError):
    """A server did not start; the text says why and what to do."""


class DataFolderInUse(ServerNotStarted):
    """Another process uses that data folder."""


class PortInUse(ServerNotStarted):
    """Another process listens on that port already."""
