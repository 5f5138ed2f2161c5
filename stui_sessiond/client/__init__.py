"""The client library: what front ends and scripts use to talk to a daemon.

async with connect("tcp://127.0.0.1:7447", client_id="me") as client:
    session = await client.create_session(CreateSession(client_id="me"))
    print((await client.evaluate("3 + 4", session_id=session.session_id)).result)
"""

from stui_sessiond.client.address import Address, parse_url
from stui_sessiond.client.client import Client, connect
from stui_sessiond.client.failure import CallFailedError, ClientError, ConnectionLostError

__all__ = [
    "Address",
    "CallFailedError",
    "Client",
    "ClientError",
    "ConnectionLostError",
    "connect",
    "parse_url",
]
