"""Commands `polyrelay providers`, and `providers list`: the plugins that are installed here."""

import logging
from typing import Any

import rich_click as click
import structlog

from cli.commands.providers_check import check_providers
from cli.commands.providers_new import new_provider
from cli.commands.providers_switch import disable, drain, enable, reload_providers
from cli.output import FORMAT, print_json, print_table
from cli.startup import settings_or_exit
from core.registry import PluginReport, Registry, load_registry
from polyrelay import Disabled, Provider, Service


@click.group(name="providers")
def command() -> None:
    """List, check and write provider plugins; enable, drain, disable and reload providers of a running server."""


command.add_command(new_provider)
command.add_command(check_providers)
for switch in (enable, drain, disable, reload_providers):
    command.add_command(switch)


@command.command(name="list")
@click.option("--models", "with_models", is_flag=True, help="Also list each model.")
@FORMAT
def list_providers(with_models: bool, output_format: str) -> None:
    """
    List the installed providers, and the plugins that could not be loaded.

    Loads the plugins in this process, with the settings of the environment and `.env`, as a server started here would.
    Needs no running server.
    """
    settings = settings_or_exit()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    registry = load_registry(settings.env)
    if output_format == "json":
        print_json(_document(registry))
        return
    _print_providers(registry)
    if with_models:
        click.echo()
        _print_models(registry)
    _print_failures(registry)


def _print_providers(registry: Registry) -> None:
    rows = []
    for name, provider in registry.providers.items():
        plugin = _plugin_of(name, registry)
        package = f"{plugin.package} {plugin.version}" if plugin and plugin.package else "-"
        rows.append((name, package, str(len(provider.models)), _availability(provider)))
    print_table(("provider", "package", "models", "available"), rows)


def _print_models(registry: Registry) -> None:
    rows = [
        (name, model["name"], model["type"], "yes" if model["available"] else "no", model["deprecated"] or "")
        for name, provider in registry.providers.items()
        for model in _models(provider)
    ]
    print_table(("provider", "model", "type", "available", "deprecated"), rows)


def _print_failures(registry: Registry) -> None:
    for plugin in registry.reports:
        if plugin.error is not None:
            package = f" ({plugin.package} {plugin.version})" if plugin.package else ""
            click.echo(f"not loaded: plugin {plugin.name}{package}: {plugin.error}")


def _availability(provider: Provider) -> str:
    reasons = list(dict.fromkeys(s.reason for s in provider.services if isinstance(s, Disabled)))
    if not reasons:
        return "yes"
    return f"{'no' if provider.unavailable else 'partly'}: {'; '.join(reasons)}"


def _document(registry: Registry) -> dict[str, Any]:
    providers = []
    for name, provider in registry.providers.items():
        plugin = _plugin_of(name, registry)
        providers.append(
            {
                "name": name,
                "plugin": plugin and plugin.name,
                "package": plugin and plugin.package,
                "version": plugin and plugin.version,
                "available": provider.unavailable is None,
                "reason": provider.unavailable,
                "models": _models(provider),
            }
        )
    failed = [
        {"plugin": plugin.name, "package": plugin.package, "version": plugin.version, "error": plugin.error}
        for plugin in registry.reports
        if plugin.error is not None
    ]
    return {"providers": providers, "failed_plugins": failed}


def _models(provider: Provider) -> list[dict[str, Any]]:
    return [
        {
            "name": model.name,
            "type": model.type.value,
            "available": not isinstance(service, Disabled),
            "reason": _reason(service),
            "deprecated": model.deprecated and model.deprecated.isoformat(),
            "description": model.description,
        }
        for service in provider.services
        for model in service.models
    ]


def _reason(service: Service) -> str | None:
    return service.reason if isinstance(service, Disabled) else None


def _plugin_of(provider: str, registry: Registry) -> PluginReport | None:
    return next((plugin for plugin in registry.reports if provider in plugin.providers), None)
