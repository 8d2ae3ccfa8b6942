"""What panelmux is measured against: it reads the form, forwards it, returns the answer, and keeps nothing.

Run as a program with the panel's URL; prints its own. `/constant` reads the same form and gives the same bytes always.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import server
from tests.benchmarks.stub import STATUS


async def main(panel: str) -> None:
    @contextlib.asynccontextmanager
    async def opened(app: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as app.state.session:
            yield

    async def forward(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        async with request.app.state.session.post(panel, data={**form, "key": "panel-key"}) as answer:
            return Response(await answer.read(), media_type="application/json")

    async def constant(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        return Response(STATUS if form["action"] == "status" else b"{}", media_type="application/json")

    routes = [
        Route("/api/v2", forward, methods=["POST"]),
        Route("/constant", constant, methods=["POST"]),
    ]
    listening = server.listen("127.0.0.1", 0)
    print(server.url(listening) + "/api/v2", flush=True)
    app = Starlette(routes=routes, lifespan=opened)
    config = uvicorn.Config(app, http="httptools", log_config=None, access_log=False)
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
