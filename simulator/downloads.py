"""Downloads of result files, under `/files/`."""

from litestar import get

from simulator.answers import Answer, Reply, json_answer
from simulator.connections import HttpRequest
from simulator.faults import Fault, Result403
from simulator.ledger import Call
from simulator.upstream import upstream_of


@get("/files/{name:str}")
async def download(request: HttpRequest, name: str) -> Reply:
    """A result file. Unknown names get 404. Object stores answer in XML; here the body is JSON with the same code."""
    upstream = upstream_of(request)
    issued = upstream.files.find(name)
    if issued is None:
        return json_answer({"Code": "NoSuchKey"}, 404).reply()

    async def send_file(fault: Fault | None) -> Answer:
        if issued.forbidden or isinstance(fault, Result403):
            return json_answer({"Code": "AccessDenied", "Message": "Request has expired"}, 403)
        return Answer(body=await upstream.renderer.make(issued.recipe), media_type=issued.recipe.media_type)

    return await upstream.perform(request, Call(kind="files", prompt=issued.prompt), send_file)
