"""The simulator's ASGI app: three vendors, result files and control calls on one address."""

import time
from collections.abc import Callable

from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from simulator import ark_images, ark_videos, chat, openai_images, openai_videos
from simulator.answers import Reply, error_answer
from simulator.connections import ConnectionClosed, HttpRequest
from simulator.control import control
from simulator.downloads import download
from simulator.errors import VendorError
from simulator.settings import Settings
from simulator.upstream import Upstream, upstream_of
from simulator.visual import visual

HANDLERS: list[ControllerRouterHandler] = [
    visual,
    ark_images.create_images,
    ark_videos.create_video,
    ark_videos.get_video,
    ark_videos.list_videos,
    ark_videos.delete_video,
    chat.ark_chat,
    chat.openai_chat,
    openai_images.create_images,
    openai_videos.create_video,
    openai_videos.get_video,
    openai_videos.get_content,
    openai_videos.delete_video,
    openai_videos.list_videos,
    download,
    control,
]


def create_app(settings: Settings | None = None, clock: Callable[[], float] = time.time) -> Litestar:
    """
    Create a simulator app with its own state.

    Args:
        clock: Returns Unix time in seconds; tests pass their own.
    """
    upstream = Upstream(settings or Settings(), clock)

    async def close() -> None:
        upstream.renderer.close()

    return Litestar(
        route_handlers=HANDLERS,
        state=State({"upstream": upstream}),
        exception_handlers={VendorError: render_error, ConnectionClosed: render_nothing},
        on_shutdown=[close],
        openapi_config=None,
        request_max_body_size=64 * 1024 * 1024,
    )


def render_error(request: HttpRequest, error: VendorError) -> Reply:
    """Count a vendor's error and render it in the vendor's envelope."""
    upstream_of(request).ledger.refuse(error.vendor, str(getattr(error, "code", None) or error.status))
    return error_answer(error).reply()


def render_nothing(_request: HttpRequest, _error: ConnectionClosed) -> Reply:
    """An empty response, because the client has closed the connection."""
    return Response(b"", status_code=503)
