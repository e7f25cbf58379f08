"""The command `polyrelay`: version, help, and loading of subcommands."""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

try:
    import rich_click as click
except ModuleNotFoundError as error:  # the base package is for plugins and has no server
    raise SystemExit("polyrelay: the command line needs the server: pip install 'polyrelay[server]'") from error

from cli.output import Failed, InterruptedByUser, print_error

_COMMANDS: Final = ("demo", "dev", "api", "worker", "tasks", "providers", "keys", "audit")


def installed_version() -> str:
    """Version of the distribution, or "unknown" in a checkout that is not installed."""
    try:
        return version("polyrelay")
    except PackageNotFoundError:
        return "unknown"


class Commands(click.RichGroup):
    """Imports a command only when it is used, so that `polyrelay --version` and `polyrelay tasks` start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order of the help."""
        del ctx
        return list(_COMMANDS)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; print a `Failed` without a stack trace and end with its exit code."""
        try:
            return super().invoke(ctx)
        except Failed as failure:
            print_error(failure)
            ctx.exit(failure.exit_code)
        except KeyboardInterrupt:
            ctx.exit(InterruptedByUser.exit_code)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The object `command` of the module with this name, or None for an unknown name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cli.commands.{cmd_name}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version(), prog_name="polyrelay", message="%(prog)s %(version)s")
def main() -> None:
    """One task API in front of many AI providers."""
