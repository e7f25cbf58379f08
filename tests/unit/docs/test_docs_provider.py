"""The provider of the README and the contract's page are compared with the real contract."""

import json
import sys
import threading
import tomllib
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint
from typing import ClassVar

import msgspec
import pytest

import polyrelay
from core.registry import Registry, Route, load_registry
from polyrelay import Done, Env, GenerationFailed, ImageOutput, Job, Pending, hooks

Blocks = Callable[[str, str], list[str]]
Pages = Callable[[str], str]

CONTRACT = "docs/reference/provider-contract.md"


class Vendor(BaseHTTPRequestHandler):
    """The vendor of the example: a drawing is ready at the second poll."""

    requests: ClassVar[list[tuple[str, str, object]]] = []

    def do_POST(self) -> None:
        """Start a drawing."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, self.headers["Authorization"], body))
        self._answer({"id": "d1", "state": "drawing", "colour": "a field that the example does not read"})

    def do_GET(self) -> None:
        """Return the state of a drawing."""
        self.requests.append((self.path, self.headers["Authorization"], None))
        asked = sum(body is None for _, _, body in self.requests)
        if self.path.endswith("/broken"):
            self._answer({"id": "broken", "state": "failed"})
        elif asked < 2:
            self._answer({"id": "d1", "state": "drawing"})
        else:
            self._answer({"id": "d1", "state": "done", "url": "https://sketches.example/d1.png"})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def vendor() -> Iterator[str]:
    """The vendor's address."""
    Vendor.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def entry_point(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> EntryPoint:
    """The README's plugin as if it were installed: its module, found as its pyproject.toml says."""
    (code,), (project,) = blocks("README.md", "python"), blocks("README.md", "toml")
    ((name, value),) = tomllib.loads(project)["project"]["entry-points"][hooks.ENTRY_POINTS].items()
    module = types.ModuleType(value)
    monkeypatch.setitem(sys.modules, value, module)
    exec(compile(code, "README.md", "exec"), module.__dict__)  # noqa: S102 - our own README
    return EntryPoint(name=name, value=value, group=hooks.ENTRY_POINTS)


async def test_the_readme_s_provider_makes_a_picture(entry_point: EntryPoint, vendor: str) -> None:
    """Registered through its entry point, it submits once, polls until the image is ready and returns its link."""
    registry = load_registry(Env({"SKETCHES_API_KEY": "k", "SKETCHES_URL": vendor}), [entry_point])
    route = route_of(registry)
    job = job_of(route, {"prompt": "a fox", "size": "1024x1024"})

    started = await route.service.submit(job)
    assert isinstance(started, Pending)
    first = await route.service.poll(job, started.operation)
    second = await route.service.poll(job, started.operation)
    await registry.aclose()

    assert isinstance(first, Pending)
    assert second == Done(outputs=(ImageOutput(url="https://sketches.example/d1.png"),))
    assert Vendor.requests == [
        ("/drawings", "Bearer k", {"text": "a fox", "size": "1024x1024"}),
        ("/drawings/d1", "Bearer k", None),
        ("/drawings/d1", "Bearer k", None),
    ]


async def test_the_readme_s_provider_says_that_a_drawing_failed(entry_point: EntryPoint, vendor: str) -> None:
    """A failed drawing raises `GenerationFailed`."""
    registry = load_registry(Env({"SKETCHES_API_KEY": "k", "SKETCHES_URL": vendor}), [entry_point])
    route = route_of(registry)

    with pytest.raises(GenerationFailed, match="the drawing failed"):
        await route.service.poll(job_of(route, {"prompt": "a fox"}), "broken")
    await registry.aclose()


def test_the_readme_s_provider_is_listed_without_its_key(entry_point: EntryPoint) -> None:
    """Without the key its model is listed as unavailable, with the reason."""
    assert route_of(load_registry(Env({}), [entry_point])).unavailable == "SKETCHES_API_KEY is not set"


def test_the_readme_s_provider_takes_strict_params(entry_point: EntryPoint) -> None:
    """A size that the model does not have is refused."""
    route = route_of(load_registry(Env({}), [entry_point]))

    with pytest.raises(msgspec.ValidationError, match="size"):
        msgspec.convert({"prompt": "a fox", "size": "1x1"}, route.model.params)


def test_the_hook_of_the_contract_page_registers(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest plugin of the page loads without an error."""
    (code,) = blocks(CONTRACT, "python")
    module = types.ModuleType("smallest")
    monkeypatch.setitem(sys.modules, "smallest", module)
    exec(compile(code, CONTRACT, "exec"), module.__dict__)  # noqa: S102 - our own page

    registry = load_registry(Env({}), [EntryPoint(name="smallest", value="smallest", group=hooks.ENTRY_POINTS)])

    assert [report.error for report in registry.reports] == [None]


def test_the_contract_page_names_everything_that_is_public(page: Pages) -> None:
    """Each name that `polyrelay` exports is on the page."""
    text = page(CONTRACT)

    assert [name for name in polyrelay.__all__ if name not in text] == []


@pytest.mark.parametrize("kind", [polyrelay.Model, polyrelay.Job, polyrelay.Pending])
def test_the_contract_page_names_every_field(kind: type[msgspec.Struct], page: Pages) -> None:
    """The fields of what passes between server and service are on the page."""
    text = page(CONTRACT)

    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in text] == []


def route_of(registry: Registry) -> Route:
    """The route of the example's one model."""
    return registry.route("sketches", "sketch-1")


def job_of(route: Route, params: dict[str, object]) -> Job[polyrelay.Params]:
    """An attempt with those params."""
    return Job(
        task_id="task_1",
        attempt=1,
        model=route.model.name,
        params=msgspec.convert(params, route.model.params),
        deadline=datetime(2026, 11, 22, tzinfo=UTC),
    )
