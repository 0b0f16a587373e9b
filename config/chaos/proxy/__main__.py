"""``python -m config.chaos.proxy``: carry connections to other ports of this machine, and spoil them when told to.

    python -m config.chaos.proxy --control 9000 --link postgres=9001:5432 --link broker-a=9002:8090

``POST /toxics`` switches a fault on and answers it with its id; ``DELETE /toxics`` and ``DELETE /toxics/ID`` switch
off; ``GET /toxics`` shows what is on and how much each link carried. Everything listens on 127.0.0.1 alone.
"""

import argparse
import asyncio
import random
import signal
import sys
from itertools import count

import uvloop
from aiohttp import web

from config.chaos.proxy.link import Link
from config.chaos.proxy.toxics import ToxicRequestError, parse_toxic


def build_app(links: dict[str, Link]) -> web.Application:
    """Return the program that switches faults of these links."""
    numbers = count(1)

    async def show(request: web.Request) -> web.Response:
        toxics = [one.summary() for link in links.values() for one in link.toxics.values()]
        carried = {
            name: {"connections": len(link.connections), "opened": link.opened, **link.bytes}
            for name, link in links.items()
        }
        return web.json_response({"toxics": toxics, "links": carried})

    async def add(request: web.Request) -> web.Response:
        try:
            toxic = parse_toxic(next(numbers), await request.json(), links)
        except (ToxicRequestError, ValueError) as error:
            return web.json_response({"message": str(error)}, status=422)
        await links[toxic.link].add(toxic)
        return web.json_response(toxic.summary())

    async def clear(request: web.Request) -> web.Response:
        for link in links.values():
            for number in tuple(link.toxics):
                await link.remove(number)
        return web.json_response({})

    async def remove(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        found = [await link.remove(number) for link in links.values() if number in link.toxics]
        return web.json_response({}, status=200 if found else 404)

    app = web.Application()
    app.router.add_get("/toxics", show)
    app.router.add_post("/toxics", add)
    app.router.add_delete("/toxics", clear)
    app.router.add_delete(r"/toxics/{number:\d+}", remove)
    return app


async def serve(control: int, links: dict[str, Link]) -> None:
    """Listen until SIGTERM or SIGINT."""
    for link in links.values():
        await link.open()
    runner = web.AppRunner(build_app(links), access_log=None, shutdown_timeout=0.3)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", control).start()
    print("proxy ready", flush=True)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    for link in links.values():
        await link.close()
    await runner.cleanup()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.chaos.proxy", description=__doc__)
    parser.add_argument("--control", type=int, required=True, metavar="PORT")
    parser.add_argument("--link", action="append", default=[], metavar="NAME=PORT:TARGET")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    links = {}
    for text in args.link:
        name, _, ports = text.partition("=")
        port, _, target = ports.partition(":")
        links[name] = Link(name, int(port), int(target), random.Random(f"{args.seed}:{name}"))
    uvloop.run(serve(args.control, links))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
