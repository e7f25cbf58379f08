"""Settings of the server: read once, at start, from the environment and `.env`, into one frozen value."""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values

from core.addresses import Network
from core.errors import ConfigurationError
from core.priorities import Priority
from core.setting_fields import names_of, read_fields, secret_fields, wrong_settings
from core.setting_parsers import (
    amounts,
    body_size,
    duration,
    encryption_keys,
    hosts_and_networks,
    memory_size,
    networks,
    number,
    number_or_none,
    priorities,
    secret_url,
    url,
    word,
    yes_or_no,
)
from core.vendor_settings import VENDOR_PARSERS, VendorSettings
from polyrelay import Env, Secret

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]
ResultCopies = Literal["copy", "link"]
QueueEngine = Literal["claim", "arq"]
AuthMode = Literal["required", "none"]


class Settings(VendorSettings, frozen=True, kw_only=True):
    """
    What an operator sets. `NAMES` has the name of each field in the environment.

    The settings of the built-in vendors are inherited.

    Attributes:
        host: Address that the API listens on.
        port: Port that the API listens on.
        api_processes: API processes that share the port.
        public_url: The API's base URL in links to results. Without it, links have the URL of the request.
        max_body_bytes: Largest request body, such as 20MiB.
        auth: `required`: every caller needs an API key; `none`: no authentication, allowed on loopback only.
        api_key_encryption_key: Encrypts the secrets of API keys. Of several, separated by commas, the first encrypts.
        request_timeout_s: Longest time for a request's head to arrive, and then for its body, such as 30s.
        mongo_url: URL of MongoDB, with the name of the database.
        redis_url: URL of Redis or Valkey.
        results_url: Result store: a folder, or s3://bucket/prefix.
        results: `copy` stores a copy of each result; `link` returns the vendor's links, which expire.
        private_result_hosts: Private hosts and networks from which results may be copied; public addresses always may.
        worker_concurrency: Steps that one worker runs at the same time.
        worker_priorities: Priorities of the tasks that a worker serves.
        queue_engine: How workers take wakes: `claim` is notified of new wakes, `arq` is plain arq, which polls.
        lease_s: Time after which the lease of a worker that does not renew it expires, such as 30s.
        reconcile_s: Period in which lost wakes are found and restored.
        shutdown_grace_s: Longest time that a stopping process waits for its running work.
        upstream_max_concurrent: Open submissions by provider, such as 4 or volcengine=2,openai=10.
        model_max_concurrent: Open submissions by model, such as jimeng_t2i_v40=2; replaces the catalogue's.
        user_max_concurrent: Open submissions by `user_id`, or None for no limit.
        upstream_max_queue: Waiting tasks of one provider; beyond it a create is refused with 429. None for no limit.
        key_requests_per_minute: Requests by an API key without a limit of its own; beyond it they get 429.
        key_max_concurrent: Open submissions by an API key without a limit of its own, or None for no limit.
        key_max_queue: Waiting tasks of one API key; beyond it a create is refused with 429. None for no limit.
        accept_without_queue: Whether tasks are created while Redis is unavailable; with `no` a create gets 503.
        upstream_submit_min_interval_s: Least time between two submits to one provider, such as 1s.
        worker_host: Address on which a worker serves its health and metrics.
        worker_port: Port on which a worker serves its health and metrics, or None for no server.
        worker_max_rss: A worker that uses more memory than this stops gracefully, with exit code 75.
        loop_stall_s: Code that blocks the event loop for longer is reported.
        relay_patience_s: How long a relayed submit waits for the vendor's response, such as 25s.
        log_level: Lowest level that is logged.
        log_format: `auto` is readable on a terminal and JSON elsewhere.
        log_dir: Folder for a log file in addition to the standard error stream, or None.
        log_keep_days: Days for which log files are kept.
        audit_keep_days: Days for which rows of the audit log are kept.
        trusted_proxies: Addresses or networks of proxies whose X-Forwarded-For is trusted, or None for none.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    api_processes: int = 1
    public_url: str | None = None
    max_body_bytes: int = 20 * 2**20
    auth: AuthMode = "required"
    api_key_encryption_key: Secret | None = None
    request_timeout_s: float = 60.0
    mongo_url: Secret = Secret("mongodb://127.0.0.1:27017/polyrelay")
    redis_url: Secret = Secret("redis://127.0.0.1:6379/0")
    results_url: str = ".polyrelay/results"
    results: ResultCopies = "copy"
    private_result_hosts: tuple[str, ...] | None = None
    worker_concurrency: int = 10
    worker_priorities: tuple[Priority, ...] = tuple(Priority)
    queue_engine: QueueEngine = "claim"
    lease_s: float = 30.0
    reconcile_s: float = 10.0
    shutdown_grace_s: float = 30.0
    upstream_max_concurrent: Mapping[str, int] | None = None
    model_max_concurrent: Mapping[str, int] | None = None
    user_max_concurrent: int | None = None
    upstream_max_queue: int | None = None
    key_requests_per_minute: int | None = 6000
    key_max_concurrent: int | None = None
    key_max_queue: int | None = None
    accept_without_queue: bool = True
    upstream_submit_min_interval_s: float = 0.0
    worker_host: str = "127.0.0.1"
    worker_port: int | None = None
    worker_max_rss: int | None = None
    loop_stall_s: float = 1.0
    relay_patience_s: float = 25.0
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    log_dir: Path | None = None
    log_keep_days: int = 7
    audit_keep_days: int = 90
    trusted_proxies: tuple[Network, ...] | None = None
    env: Env = Env({})


NAMES: Final[Mapping[str, str]] = names_of(Settings)
"""Environment name to field."""


def read_settings(environment: Mapping[str, str] | None = None, dotenv: Path | None = None) -> Settings:
    """
    The settings, from the environment over the `.env` file. An empty value counts as unset.

    Args:
        environment: Names and values; by default the process's own.
        dotenv: The file; by default `.env` in the working directory, if there is one.

    Raises:
        ConfigurationError: Names every setting that is wrong, what came, and what is allowed.
    """
    from_file = _read_dotenv(dotenv)
    from_environment = os.environ if environment is None else environment
    values = {**_not_empty(from_file), **_not_empty(from_environment)}
    fields, problems = read_fields(Settings, values, _PARSERS)
    if problems := [*_misspelt(from_file), *problems]:
        raise wrong_settings(problems)
    return Settings(**fields, env=Env(values))


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is not None and not path.is_file():
        raise ConfigurationError(f"the settings file {path} does not exist")
    try:
        return {name: value or "" for name, value in dotenv_values(path or Path(".env")).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the settings file {path or '.env'} cannot be read: {error}") from error


def _not_empty(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value.strip()}


def _misspelt(from_file: Mapping[str, str]) -> list[str]:
    """A problem for each name in `.env` that is similar to a setting's. Other names may belong to a plugin."""
    return [
        f"{name}: there is no such setting; did you mean {close[0]}?"
        for name in from_file
        if name not in NAMES and (close := difflib.get_close_matches(name, NAMES, n=1, cutoff=0.87))
    ]


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **VENDOR_PARSERS,
    "host": str,
    "port": number(1, 65535),
    "api_processes": number(1, 64),
    "public_url": url("http", "https"),
    "max_body_bytes": body_size,
    "auth": word(AuthMode),
    "api_key_encryption_key": encryption_keys,
    "request_timeout_s": duration(1, 3600),
    "mongo_url": secret_url("mongodb", "mongodb+srv"),
    "redis_url": secret_url("redis", "rediss"),
    "results_url": str,
    "results": word(ResultCopies),
    "private_result_hosts": hosts_and_networks,
    "worker_concurrency": number(1, 1000),
    "worker_priorities": priorities,
    "queue_engine": word(QueueEngine),
    "lease_s": duration(1, 3600),
    "reconcile_s": duration(0.2, 3600),
    "shutdown_grace_s": duration(0, 3600),
    "upstream_max_concurrent": amounts,
    "model_max_concurrent": amounts,
    "user_max_concurrent": number(1, 1_000_000),
    "upstream_max_queue": number(0, 10_000_000),
    "key_requests_per_minute": number_or_none(1, 10_000_000),
    "key_max_concurrent": number(1, 1_000_000),
    "key_max_queue": number(0, 10_000_000),
    "accept_without_queue": yes_or_no,
    "upstream_submit_min_interval_s": duration(0, 3600),
    "worker_host": str,
    "worker_port": number(1, 65535),
    "worker_max_rss": memory_size,
    "loop_stall_s": duration(0.05, 60),
    "relay_patience_s": duration(1, 3600),
    "log_level": word(LogLevel),
    "log_format": word(LogFormat),
    "log_dir": Path,
    "log_keep_days": number(1, 3650),
    "audit_keep_days": number(1, 3650),
    "trusted_proxies": networks,
}


def secrets_of(settings: Settings) -> Iterator[str]:
    """The secrets in the settings: keys, and passwords in URLs."""
    for field in secret_fields(Settings):
        secret: Secret | None = getattr(settings, field)
        if secret is not None:
            yield secret.reveal()
            if password := urlsplit(secret.reveal()).password:
                yield password
