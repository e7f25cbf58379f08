"""`polyrelay api`."""

import rich_click as click

from cli.startup import settings_or_exit


@click.command(name="api")
def command() -> None:
    """
    Serve the HTTP API.

    Listens on HOST and PORT with API_PROCESSES processes; configured by the environment and `.env`.
    SIGTERM or Ctrl-C stops it: open requests are finished first. Does not start where it would be open to others.
    """
    settings = settings_or_exit()
    from cli.serving import serve

    serve(settings)
