"""
Frozen names: what clients, operators, dashboards, stored data and workers of other versions rely on.

`python -m tests.frozen_names` writes them to `tests/data/frozen_names.json`. A new name is added there on purpose; a
name that disappears breaks somebody, and `tests/unit/test_frozen_names.py` fails.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import rich_click
from prometheus_client.parser import text_string_to_metric_families

from api import problems
from api.app import build_app
from api.openapi.document import document
from cli.main import main
from core import errors
from core.attempts import Attempt, Failure, VendorAnswer
from core.audit import Action, AuditRow, Outcome
from core.control import ProcessReport
from core.failures import CODES
from core.keys import ApiKey
from core.settings import NAMES, Settings
from core.task_states import State, Status
from core.tasks import Choice, Idempotency, Lease, RelayCall, Result, Task
from core.users import User
from polyrelay import Usage
from repositories.mongodb.task_indexes import INDEXES
from repositories.valkey.connection import QUEUE_NAMES
from repositories.valkey.wakes import WAKE_FUNCTION
from tests.unit.api.api_fixture import api_registry, new_api_fixture
from tests.unit.docs.test_docs_metrics import everything

FILE: Final = Path(__file__).parent / "data" / "frozen_names.json"
ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = (
    Task, Attempt, Choice, Failure, Idempotency, Lease, RelayCall, Result, VendorAnswer, Usage, AuditRow, ApiKey, User,
    ProcessReport,
)  # fmt: skip
_PROSE: Final = frozenset({"description", "summary", "title", "example", "examples"})


def frozen_names() -> dict[str, Any]:
    """The names as this code has them."""
    return {
        "routes": _routes(),
        "openapi": _without_prose(json.loads(document(api_registry()))),
        "settings": {name: repr(getattr(Settings(), field)) for name, field in sorted(NAMES.items())},
        "commands": dict(_commands(main, "polyrelay")),
        "metrics": _metrics(),
        "error_codes": sorted(set(_error_codes())),
        "failure_codes": sorted(CODES),
        "states": sorted({*map(str, State), *map(str, Status)}),
        "audit_actions": sorted([*map(str, Action), *map(str, Outcome)]),
        "stored_fields": {kind.__name__: _fields(kind) for kind in DOCUMENTS},
        "indexes": _in_adapters(r"""\bname="([a-z_]+)"|INDEX: Final = "([a-z_]+)\"""", {".py"}),
        "task_indexes": {
            index.document["name"]: " ".join(f"{name}:{order}" for name, order in index.document["key"].items())
            for index in INDEXES
        },
        "collections": _in_adapters(r"""get_collection\("([a-z_]+)"|COLLECTION: Final = "([a-z_]+)\"""", {".py"}),
        "redis_keys": _in_adapters(r"""["'](polyrelay:[a-z_:]*)""", {".py", ".lua"}),
        "wakes": [*sorted(QUEUE_NAMES.values()), WAKE_FUNCTION],
    }


def lost(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """What was there before and is not there now, or is another one; what is new is no loss."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name, value in before.items():
            if name in now:
                yield from lost(value, now[name], f"{path}/{name}")
            else:
                yield f"{path}/{name}"
    elif isinstance(before, list) and isinstance(now, list):
        yield from (f"{path}: {item!r}" for item in before if item not in now)
    elif before != now:
        yield f"{path}: {before!r} became {now!r}"


def _routes() -> dict[str, list[str]]:
    app = build_app(new_api_fixture().adapters(), Settings(auth="none"))
    return {route.path: sorted(getattr(route, "methods", [])) for route in app.routes}


def _without_prose(value: Any, *, names: bool = False) -> Any:
    """The document without texts that only people read; `names` where the keys are names of fields."""
    if isinstance(value, dict):
        return {
            key: _without_prose(item, names=key in {"properties", "schemas", "paths", "responses", "headers"})
            for key, item in value.items()
            if names or key not in _PROSE
        }
    if isinstance(value, list):
        return [_without_prose(item) for item in value]
    return value


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(command, click.Group):
        context = rich_click.RichContext(command)
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from _commands(found, f"{name} {sub}")
    else:
        yield name, sorted({text for param in command.params for text in (*param.opts, *param.secondary_opts)})


def _metrics() -> dict[str, list[str]]:
    families = list(text_string_to_metric_families(everything()))
    labels = {family.name: {label for sample in family.samples for label in sample.labels} for family in families}
    return {family.name: [family.type, *sorted(labels[family.name])] for family in families}


def _error_codes() -> Iterator[str]:
    for module in (errors, problems):
        for value in vars(module).values():
            code = getattr(value, "code", None)
            if isinstance(value, type) and isinstance(code, str):
                yield code


def _fields(kind: type[msgspec.Struct]) -> list[str]:
    return sorted(field.encode_name for field in msgspec.structs.fields(kind))


def _in_adapters(pattern: str, suffixes: set[str]) -> list[str]:
    """The names that stand in the code of the adapters in such a place."""
    files = [path for path in sorted((ROOT / "repositories").rglob("*")) if path.suffix in suffixes]
    found = (match for path in files for match in re.findall(pattern, path.read_text("utf-8")))
    return sorted({match if isinstance(match, str) else "".join(match) for match in found})


if __name__ == "__main__":
    FILE.write_text(json.dumps(frozen_names(), indent=1, sort_keys=True) + "\n", "utf-8")
