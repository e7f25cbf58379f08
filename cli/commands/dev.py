"""`polyrelay dev`."""

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
    help="Folder of the databases, the results and the logs; it survives restarts.",
)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="Worker processes.")
@click.option("--reload", is_flag=True, help="Start the API and the workers again when the source code changes.")
def command(host: str | None, port: int | None, data_dir: Path, workers: int, reload: bool) -> None:
    """
    Run everything on this machine and stay up.

    Starts MongoDB, Valkey, the API and a worker. Vendors for which a key is set in the environment or in `.env` are
    asked for real, and cost money; the others are played by a simulator. MONGO_URL and REDIS_URL, where set, replace
    the embedded servers. On loopback nobody is asked for a key, unless AUTH=required is set. Ctrl-C stops everything;
    twice, at once.
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
