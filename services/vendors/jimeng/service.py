"""Service class of Jimeng: implements the provider contract with Volcengine's visual API."""

from collections.abc import Sequence
from typing import Any

import httpx
from msgspec import Struct, structs

from core.catalogue import Entry
from polyrelay import HttpOptions, Job, Model, Outcome, Pending, Rejected, Secret, VendorHttp
from services.vendors.jimeng.answers import read_progress, read_result, read_submission, request_id_of
from services.vendors.jimeng.calls import inquiry, read_operation, submission
from services.vendors.jimeng.families import FAMILIES, JimengFamily
from services.vendors.jimeng.faults import faults
from services.vendors.jimeng.relays import JimengRelay, RelayParams, guessed_family, relay_model
from services.vendors.jimeng.signing import Credentials, VolcengineAuth


class _ServedModel(Struct, frozen=True):
    model: Model
    family: JimengFamily
    req_key: str


class Jimeng:
    """
    Images and videos by the Jimeng models.

    Args:
        entries: Entries of the catalogue; each belongs to one of the `FAMILIES`.
        http: From `jimeng_http`; the service closes it.
        poll_scale: Multiplies the time between polls; for tests and demonstrations.

    Raises:
        ValueError: An entry's family is not one of the `FAMILIES`.
    """

    def __init__(self, entries: Sequence[Entry], http: VendorHttp, *, poll_scale: float = 1.0) -> None:
        self._models = {entry.name: _served_model(entry) for entry in entries}
        self._http = http
        self._poll_scale = poll_scale

    @property
    def models(self) -> Sequence[Model]:
        """The models that this service serves."""
        return tuple(served.model for served in self._models.values())

    async def submit(self, job: Job[Any]) -> Outcome:
        """
        Start the generation. A synchronous model returns the result, which can take a minute.

        Raises:
            ProviderError: Any class of `polyrelay.errors`.
        """
        served = self._served(job.model)
        call = submission(job, served.family, served.req_key)
        answer = await self._http.submit("/", json=call.body, query=call.query)
        if served.family.calls.query is None:
            return read_result(answer, served.family)
        operation = read_submission(answer, served.req_key).written()
        return Pending(
            operation=operation,
            poll_after_s=served.family.poll_after_s * self._poll_scale,
            request_id=request_id_of(answer),
        )

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """
        Ask for the result.

        Raises:
            ProviderError: As `polyrelay.errors` says.
        """
        family = self._served(job.model).family
        call = inquiry(job, family.calls, read_operation(operation))
        answer = await self._http.query("POST", "/", json=call.body, query=call.query)
        return read_progress(answer, family, operation=operation, poll_scale=self._poll_scale)

    def relay_of(self, model: str) -> tuple[Model, JimengRelay]:
        """
        The model and the relay service for a `req_key`.

        A `req_key` that is in the catalogue shares the gates of its model, because the vendor limits each `req_key`.
        """
        served = next((served for served in self._models.values() if served.req_key == model), None)
        family = served.family if served is not None else guessed_family(model)
        relayed = (
            structs.replace(served.model, params=RelayParams) if served is not None else relay_model(model, family)
        )
        return relayed, JimengRelay(relayed, model, family, self._http, poll_scale=self._poll_scale)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _served(self, model: str) -> _ServedModel:
        if model not in self._models:
            raise Rejected(f"no Jimeng model is called {model!r}", reason="not_found")
        return self._models[model]


def jimeng_models(entries: Sequence[Entry]) -> tuple[Model, ...]:
    """
    The models of these entries, without credentials.

    Raises:
        ValueError: An entry's family is not one of the `FAMILIES`.
    """
    return tuple(_served_model(entry).model for entry in entries)


def jimeng_http(
    base_url: str,
    access_key: Secret,
    secret_key: Secret,
    *,
    read_s: float,
    session_token: Secret | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> VendorHttp:
    """
    The HTTP client of the visual API, which signs each request.

    Args:
        base_url: Such as "https://visual.volcengineapi.com".
        access_key: Key id of the account.
        secret_key: Its secret.
        read_s: Longest pause between two pieces of an answer, in seconds. A synchronous model answers after a minute.
        session_token: Belongs to temporary keys.
        transport: Another httpx transport, for tests.
    """
    credentials = Credentials(access_key=access_key, secret_key=secret_key, session_token=session_token)
    options = HttpOptions(
        auth=VolcengineAuth(credentials),
        fault=faults(access_key, secret_key, session_token),
        hide=[secret for secret in (access_key, secret_key, session_token) if secret is not None],
        read_s=read_s,
        transport=transport,
    )
    return VendorHttp("volcengine", base_url, options)


def _served_model(entry: Entry) -> _ServedModel:
    family = FAMILIES.get(entry.family)
    if family is None:
        raise ValueError(f"model {entry.name!r}: family {entry.family!r} is not one of {', '.join(FAMILIES)}")
    model = Model(
        name=entry.name,
        type=family.type,
        params=family.params,
        timeout_s=family.timeout_s if entry.timeout_s is None else entry.timeout_s,
        max_open=entry.max_open,
        deprecated=entry.deprecated,
        description=entry.description,
    )
    return _ServedModel(model, family, entry.upstream_name)
