"""Command `polyrelay worker`: one worker process."""

import rich_click as click

from cli.output import Failed, Misused
from cli.startup import settings_or_exit
from core.errors import ConfigurationError, PolyrelayError


@click.command(name="worker")
def command() -> None:
    """
    Run one worker process, which submits and polls tasks and copies their results.

    Needs MongoDB and Redis. Reads its settings from the environment and `.env`, as `polyrelay api` does. SIGTERM or
    Ctrl-C stops it after the current steps are finished. Exit code 75 means that it used more memory than
    WORKER_MAX_RSS and must be started again.
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
