"""`polyrelay demo`."""

import asyncio
from pathlib import Path

import rich_click as click

from cli.output import FORMAT, Failed, InterruptedByUser, print_json
from cli.supervision import Interrupted
from core.errors import ConfigurationError
from polyrelay.client import ClientError


@click.command(name="demo")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-results"),
    show_default=True,
    help="Folder for the picture, the video and the text.",
)
@FORMAT
def command(out: Path, output_format: str) -> None:
    """
    Make one picture, one video and one text, end to end.

    Starts MongoDB, Valkey, the simulator, the API and a worker in a temporary folder, creates three tasks over HTTP,
    saves the results and stops everything. Needs no keys and costs nothing: the simulator always plays the vendors.
    """
    from cli.demonstration import demonstrate, narrator

    try:
        out.mkdir(parents=True, exist_ok=True)
        saved = asyncio.run(demonstrate(out, narrator(output_format)))
    except Interrupted:
        raise InterruptedByUser("interrupted; everything was stopped") from None
    except (ConfigurationError, ClientError, OSError) as error:
        raise Failed(str(error)) from error
    if output_format == "json":
        print_json({"results": saved})
