"""`polyrelay providers check`."""

import logging
from collections.abc import Iterable
from typing import Any

import rich_click as click
import structlog
from msgspec import Struct

from cli.output import FORMAT, Failed, Misused, print_json
from cli.startup import settings_or_exit
from core.registry import PluginReport, Registry, load_registry
from polyrelay import Disabled, Provider
from polyrelay.testing.static import Finding, check


class Verdict(Struct, frozen=True, kw_only=True):
    """What the static checks say about a provider of a plugin."""

    provider: Provider
    findings: tuple[Finding, ...]

    @property
    def unseen(self) -> str | None:
        """Why some of its services were not there to be checked, or None."""
        reasons = [service.reason for service in self.provider.services if isinstance(service, Disabled)]
        return "; ".join(dict.fromkeys(reasons)) or None


Checked = tuple[PluginReport, tuple[Verdict, ...]]


@click.command(name="check")
@click.argument("name", required=False)
@FORMAT
def check_providers(name: str | None, output_format: str) -> None:
    """
    Check the installed providers, or the one called NAME, against the contract.

    No vendor is called; the conformance kit in a plugin's own tests checks how it talks to one. Exit code 1 where
    something is wrong.
    """
    settings = settings_or_exit()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    registry = load_registry(settings.env)
    checked = [(report, tuple(_verdicts(report, registry))) for report in _chosen(registry, name)]
    if output_format == "json":
        print_json({"ok": not _wrong(checked), "plugins": [_document(*one) for one in checked]})
    else:
        _print_text(checked)
    if wrong := _wrong(checked):
        raise Failed(f"not as the contract says: {', '.join(wrong)}")


def _chosen(registry: Registry, name: str | None) -> list[PluginReport]:
    """The plugins to check: the one with that name or with a provider of that name, or all."""
    found = [report for report in registry.reports if name in {None, report.name, *report.providers}]
    if name is not None and not found:
        names = sorted({known for report in registry.reports for known in (report.name, *report.providers)})
        raise Misused(f"no plugin and no provider called {name} is installed here; there are: {', '.join(names)}")
    return found


def _verdicts(report: PluginReport, registry: Registry) -> Iterable[Verdict]:
    for name in report.providers:
        provider = registry.providers[name]
        yield Verdict(provider=provider, findings=tuple(check(provider)))


def _wrong(checked: Iterable[Checked]) -> list[str]:
    """Names of the plugins with findings, or that could not be loaded."""
    return [
        report.name
        for report, verdicts in checked
        if report.error is not None or any(verdict.findings for verdict in verdicts)
    ]


def _print_text(checked: Iterable[Checked]) -> None:
    for report, verdicts in checked:
        package = f" ({report.package} {report.version})" if report.package else ""
        click.echo(f"plugin {report.name}{package}")
        if report.error is not None:
            click.echo(f"  cannot be loaded: {report.error}")
        for verdict in verdicts:
            _print_verdict(verdict)


def _print_verdict(verdict: Verdict) -> None:
    provider, findings = verdict.provider, verdict.findings
    word = _counted(len(findings), "finding") if findings else "good"
    click.echo(f"  provider {provider.name}, {_counted(len(provider.models), 'model')}: {word}")
    for finding in verdict.findings:
        click.echo(f"    {finding.check}: {finding.message}")
    if verdict.unseen is not None:
        click.echo(f"    only models and params were checked where {verdict.unseen}")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _document(report: PluginReport, verdicts: Iterable[Verdict]) -> dict[str, Any]:
    return {
        "plugin": report.name,
        "package": report.package,
        "version": report.version,
        "error": report.error,
        "providers": [
            {
                "name": verdict.provider.name,
                "models": len(verdict.provider.models),
                "findings": verdict.findings,
                "not_checked": verdict.unseen,
            }
            for verdict in verdicts
        ],
    }
