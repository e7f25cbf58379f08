"""Command `polyrelay api`: serves the HTTP API."""

import rich_click as click

from cli.startup import settings_or_exit


@click.command(name="api")
def command() -> None:
    """
    Serve the HTTP API.

    Needs MongoDB and Redis. Reads its settings from the environment and `.env`: MONGO_URL, REDIS_URL, HOST, PORT,
    API_PROCESSES and others. SIGTERM or Ctrl-C stops it after the open requests are finished. It does not start
    with AUTH=none on an address that other machines can reach.

    Example: HOST=127.0.0.1 PORT=8080 polyrelay api
    """
    settings = settings_or_exit()
    from cli.serving import serve

    serve(settings)
