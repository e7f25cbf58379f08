"""`polyrelay worker`."""

import rich_click as click

from cli.output import Failed, Misused
from cli.startup import settings_or_exit
from core.errors import ConfigurationError, PolyrelayError


@click.command(name="worker")
def command() -> None:
    """
    Run one worker, which advances tasks.

    Configured by the environment and `.env`. SIGTERM or Ctrl-C stops it: it finishes what it is doing first.
    Exit code 75 says that it stopped because it occupied more than WORKER_MAX_RSS: start it again.
    """
    settings = settings_or_exit()
    from cli.serving import check_address
    from worker.main import run

    if settings.worker_port is not None:
        check_address(settings.worker_host, settings.worker_port, setting="WORKER_PORT")

    try:
        code = run(settings)
    except ConfigurationError as error:
        raise Misused(str(error)) from error
    except PolyrelayError as error:
        raise Failed(str(error)) from error
    if code:
        raise SystemExit(code)
