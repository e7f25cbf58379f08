"""Model families: params and requests that model names share, and services whose vendor returns results at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

from core.catalogue import Entry
from polyrelay import Answer, Done, Job, Model, Params, Pending, Rejected, TaskType, VendorHttp

P = TypeVar("P", bound=Params)
ParamsOf: TypeAlias = type[P]


class ModelFamily(Struct, Generic[P], frozen=True, kw_only=True):
    """
    What several model names have in common.

    Attributes:
        type: The kind of output.
        params: Class of the input.
        timeout_s: Longest time from the first submit to the outcome, in seconds; the catalogue may replace it.
        request: Returns the body of the request for the vendor's model name and the params; pure.
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
    """Builds the bodies of submits for some models, by the model name in the job."""

    def __init__(self, entries: Iterable[Entry], families: Families) -> None:
        self._by_model = {
            entry.name: (entry.upstream_name, families[entry.family]) for entry in entries if entry.family in families
        }

    def body(self, job: Job[Any]) -> Mapping[str, object]:
        """
        The body of the request that submits this job.

        Raises:
            Rejected: This service does not serve the model.
        """
        if job.model not in self._by_model:
            raise Rejected(f"no model is called {job.model!r} here", reason="not_found")
        upstream, family = self._by_model[job.model]
        return family.request(upstream, job.params)


class SynchronousService:
    """
    A service whose vendor answers a submit with the result.

    Args:
        entries: Entries of the catalogue; those of other families are ignored.
        http: Closed with the service. Services may share it, because closing it again does nothing.
        families: The families by name.
        path: Path of the request.
        read: Returns the result that an answer has; pure.
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
        """Refuse: `submit` never returns an operation."""
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
