"""Model families: what the model names of one kind share, and services whose vendor answers a submit at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

from core.catalogue import Entry
from polyrelay import Answer, Done, Job, Model, Params, Pending, Rejected, TaskType, VendorHttp

P = TypeVar("P", bound=Params)
ParamsOf: TypeAlias = type[P]


class ModelFamily(Struct, Generic[P], frozen=True, kw_only=True):
    """
    What the model names of one kind share.

    Attributes:
        type: What they make.
        params: What callers may send.
        timeout_s: From the first submit to the outcome, in seconds, where the catalogue says nothing else.
        request: From the vendor's model name and the params to the body of the request; pure.
    """

    type: TaskType
    params: ParamsOf[P]
    timeout_s: float
    request: Callable[[str, P], Mapping[str, object]]


Families: TypeAlias = Mapping[str, ModelFamily[Any]]


def models_of(entries: Iterable[Entry], families: Families) -> tuple[Model, ...]:
    """The models of the entries that belong to one of the families; other entries are left out."""
    return tuple(_model(entry, families[entry.family]) for entry in entries if entry.family in families)


def given(params: Params, *names: str) -> dict[str, object]:
    """The named fields that the caller set, by name."""
    return {name: value for name in names if (value := getattr(params, name)) is not None}


class Requests:
    """The bodies of the requests for some models, by the name that callers use."""

    def __init__(self, entries: Iterable[Entry], families: Families) -> None:
        self._by_model = {
            entry.name: (entry.upstream_name, families[entry.family]) for entry in entries if entry.family in families
        }

    def body(self, job: Job[Any]) -> Mapping[str, object]:
        """
        The body that submits this job.

        Raises:
            Rejected: The model is not served here.
        """
        if job.model not in self._by_model:
            raise Rejected(f"no model is called {job.model!r} here", reason="not_found")
        upstream, family = self._by_model[job.model]
        return family.request(upstream, job.params)


class AtOnce:
    """
    A service whose vendor answers a submit with the result itself.

    Args:
        entries: Names from the catalogue; those of other families are left out.
        http: Closed with the service; services may share it, since closing it again does nothing.
        families: By name.
        path: Where requests are sent.
        read: From an answer to the result; pure.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        http: VendorHttp,
        *,
        families: Families,
        path: str,
        read: Callable[[Answer], Done],
    ) -> None:
        self.models = models_of(entries, families)
        self._requests = Requests(entries, families)
        self._http = http
        self._path = path
        self._read = read

    async def submit(self, job: Job[Any]) -> Done:
        """Send the request and wait for the result."""
        return self._read(await self._http.submit(self._path, json=self._requests.body(job)))

    async def poll(self, job: Job[Any], operation: str) -> Pending:
        """Refuse: `submit` never leaves an operation open."""
        raise Rejected(f"{job.model} answers at once; there is no operation {operation!r}", reason="not_found")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _model(entry: Entry, family: ModelFamily[Any]) -> Model:
    return Model(
        name=entry.name,
        type=family.type,
        params=family.params,
        timeout_s=entry.timeout_s or family.timeout_s,
        max_open=entry.max_open,
        deprecated=entry.deprecated,
        description=entry.description,
    )
