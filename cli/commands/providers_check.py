"""Command `polyrelay providers check`: static checks of installed plugins against the contract."""

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


class CheckResult(Struct, frozen=True, kw_only=True):
    """Findings of the static checks for one provider of a plugin."""

    provider: Provider
    findings: tuple[Finding, ...]

    @property
    def not_checked(self) -> str | None:
        """Why some services could not be checked, or None if all were."""
        reasons = [service.reason for service in self.provider.services if isinstance(service, Disabled)]
        return "; ".join(dict.fromkeys(reasons)) or None


CheckedPlugin = tuple[PluginReport, tuple[CheckResult, ...]]


@click.command(name="check")
@click.argument("name", required=False)
@FORMAT
def check_providers(name: str | None, output_format: str) -> None:
    """
    Check all installed providers against the provider contract, or only the plugin or provider NAME.

    Checks names, types, params and services. Calls no vendor: the conformance kit in a plugin's own tests checks its
    requests. Services whose settings are missing are not checked. Exit code 1 if there is a finding.

    Example: polyrelay providers check openai
    """
    settings = settings_or_exit()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    registry = load_registry(settings.env)
    checked = [(plugin, tuple(_results(plugin, registry))) for plugin in _chosen(registry, name)]
    if output_format == "json":
        print_json({"ok": not _wrong(checked), "plugins": [_document(*plugin) for plugin in checked]})
    else:
        _print_text(checked)
    if wrong := _wrong(checked):
        raise Failed(f"the contract is broken by: {', '.join(wrong)}")


def _chosen(registry: Registry, name: str | None) -> list[PluginReport]:
    """
    The plugins to check: all, or the one with this name or with a provider of this name.

    Raises:
        Misused: No installed plugin or provider has this name.
    """
    found = [plugin for plugin in registry.reports if name in {None, plugin.name, *plugin.providers}]
    if name is not None and not found:
        names = sorted({known for plugin in registry.reports for known in (plugin.name, *plugin.providers)})
        raise Misused(f"no plugin or provider called {name} is installed here; installed are: {', '.join(names)}")
    return found


def _results(plugin: PluginReport, registry: Registry) -> Iterable[CheckResult]:
    for name in plugin.providers:
        provider = registry.providers[name]
        yield CheckResult(provider=provider, findings=tuple(check(provider)))


def _wrong(checked: Iterable[CheckedPlugin]) -> list[str]:
    """Names of the plugins that have findings or could not be loaded."""
    return [
        plugin.name
        for plugin, results in checked
        if plugin.error is not None or any(result.findings for result in results)
    ]


def _print_text(checked: Iterable[CheckedPlugin]) -> None:
    for plugin, results in checked:
        package = f" ({plugin.package} {plugin.version})" if plugin.package else ""
        click.echo(f"plugin {plugin.name}{package}")
        if plugin.error is not None:
            click.echo(f"  cannot be loaded: {plugin.error}")
        for result in results:
            _print_result(result)


def _print_result(result: CheckResult) -> None:
    provider, findings = result.provider, result.findings
    summary = _counted(len(findings), "finding") if findings else "no findings"
    click.echo(f"  provider {provider.name}, {_counted(len(provider.models), 'model')}: {summary}")
    for finding in findings:
        click.echo(f"    {finding.check}: {finding.message}")
    if result.not_checked is not None:
        click.echo(f"    services not checked, only models and params: {result.not_checked}")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _document(plugin: PluginReport, results: Iterable[CheckResult]) -> dict[str, Any]:
    return {
        "plugin": plugin.name,
        "package": plugin.package,
        "version": plugin.version,
        "error": plugin.error,
        "providers": [
            {
                "name": result.provider.name,
                "models": len(result.provider.models),
                "findings": result.findings,
                "not_checked": result.not_checked,
            }
            for result in results
        ],
    }
