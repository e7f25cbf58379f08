"""Command `polyrelay demo`: three tasks on a temporary server."""

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
    help="Folder for the image, the video and the text.",
)
@FORMAT
def command(out: Path, output_format: str) -> None:
    """
    Generate one image, one video and one text, end to end.

    Starts MongoDB, Valkey, the simulator, the API and a worker in a temporary folder. Creates three tasks over HTTP,
    saves their results in the folder of --out and stops all processes. Needs no keys and costs nothing: the simulator
    answers in place of all vendors. Ignores your settings.
    """
    from cli.demonstration import demonstrate, progress_for

    try:
        out.mkdir(parents=True, exist_ok=True)
        saved = asyncio.run(demonstrate(out, progress_for(output_format)))
    except Interrupted:
        raise InterruptedByUser("interrupted; all processes were stopped") from None
    except (ConfigurationError, ClientError, OSError) as error:
        raise Failed(str(error)) from error
    if output_format == "json":
        print_json({"results": saved})
