"""Command `polyrelay dev`: all processes on this machine, for development."""

import asyncio
from pathlib import Path

import rich_click as click

from cli.output import Failed
from cli.startup import settings_or_exit
from core.errors import ConfigurationError


@click.command(name="dev")
@click.option("--host", help="Address that the API listens on.  [default: HOST, or 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the API.  [default: PORT, or 8080]")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".polyrelay"),
    show_default=True,
    help="Folder of the databases, the results and the logs. It is kept when the command ends.",
)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="Number of worker processes.")
@click.option("--reload", is_flag=True, help="Restart the API and the workers when the source code changes.")
def command(host: str | None, port: int | None, data_dir: Path, workers: int, reload: bool) -> None:
    """
    Run all processes on this machine until Ctrl-C.

    Starts MongoDB, Valkey, the API and the workers. A vendor whose key is set in the environment or in `.env` is
    called for real, which costs money; the simulator answers in place of the others. If MONGO_URL or REDIS_URL is set,
    that server is used in place of the embedded one. On loopback the API needs no API key unless AUTH=required is set.
    Ctrl-C stops all processes in order; a second Ctrl-C kills them.

    Example: polyrelay dev --port 9000 --workers 2
    """
    from cli.development import Development

    settings = settings_or_exit()
    development = Development(
        settings,
        host=host or settings.host,
        port=port or settings.port,
        data_dir=data_dir,
        workers=workers,
        reload=reload,
    )
    try:
        asyncio.run(development.run())
    except ConfigurationError as error:
        raise Failed(str(error)) from error
