"""API documentation routes: the OpenAPI description, and a page that renders it without internet access."""

import importlib.util
from pathlib import Path
from typing import Final

from litestar import Controller, Response, get

from api.context import Call
from api.route_policy import PUBLIC, guarded_by
from core.errors import FileNotFound

PATH: Final = "/docs"
_ASSETS: Final = {
    "swagger_bundle.js": "text/javascript; charset=utf-8",
    "swagger_style.css": "text/css; charset=utf-8",
}
_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>polyrelay API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{PATH}/assets/swagger_style.css">
</head>
<body>
<div id="page"></div>
<script src="{PATH}/assets/swagger_bundle.js"></script>
<script>SwaggerUIBundle({{url: "{PATH}/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null}})</script>
</body>
</html>
"""


class Docs(Controller):
    """The routes of the documentation."""

    path = PATH

    @get(opt=guarded_by(PUBLIC))
    async def page(self) -> Response[str]:
        """The page that renders the description."""
        return Response(_PAGE, media_type="text/html")

    @get("/openapi.json", opt=guarded_by(PUBLIC))
    async def openapi(self, request: Call) -> Response[bytes]:
        """The OpenAPI description."""
        return Response(request.app.state.openapi, media_type="application/json")

    @get("/assets/{name:str}", sync_to_thread=True, opt=guarded_by(PUBLIC))
    def asset(self, request: Call) -> Response[bytes]:
        """A file of Swagger UI, from the package `offapi`."""
        name = str(request.path_params["name"])
        if name not in _ASSETS:
            raise FileNotFound(f"there is no asset of that name; there are {', '.join(_ASSETS)}")
        headers = {"Content-Type": _ASSETS[name], "Cache-Control": "public, max-age=86400"}
        return Response((_assets() / name).read_bytes(), headers=headers)


def _assets() -> Path:
    """The folder of the package `offapi`, without importing it: an import reads megabytes."""
    found = importlib.util.find_spec("offapi")
    if found is None or found.origin is None:
        raise FileNotFound("Swagger UI comes with the package offapi, which is not installed")
    return Path(found.origin).parent
