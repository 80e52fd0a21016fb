"""A WebSocket server that sends back what it gets: echo_websocket.py PORT [CERTIFICATE KEY]"""

import asyncio
import ssl
import sys

import websockets


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main(port, *certificate):
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    async with websockets.serve(echo, "0.0.0.0", int(port), ssl=context, max_size=None):
        print("listening", flush=True)
        await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
