"""The client library: what front ends and scripts use to talk to a daemon.

Over one connection:

    async with connect("tcp://127.0.0.1:7447", client_id="me") as client:
        session = await client.create_session(CreateSession(client_id="me"))
        print((await client.evaluate("3 + 4", session_id=session.session_id)).result)

Over as many as it takes, `LastingClient`; in a script without `async`, `blocking.connect`.
"""

from stui_sessiond.client.address import Address, parse_url
from stui_sessiond.client.backoff import Backoff
from stui_sessiond.client.client import Client, connect
from stui_sessiond.client.conflict import Conflict
from stui_sessiond.client.ending import Ending
from stui_sessiond.client.failure import (
    CallFailedError,
    ClientError,
    ConflictError,
    ConnectionFailedError,
    ConnectionLostError,
    OfflineError,
    OutcomeUnknownError,
    QueueFullError,
)
from stui_sessiond.client.history import Visit
from stui_sessiond.client.lasting import LastingClient
from stui_sessiond.client.patience import Patience
from stui_sessiond.client.saver import Delivery, Refused, Saved, Superseded
from stui_sessiond.client.status import ConnectionState, Health, Status
from stui_sessiond.client.stream import Gap
from stui_sessiond.client.watch import Watch

__all__ = [
    "Address",
    "Backoff",
    "CallFailedError",
    "Client",
    "ClientError",
    "Conflict",
    "ConflictError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "ConnectionState",
    "Delivery",
    "Ending",
    "Gap",
    "Health",
    "LastingClient",
    "OfflineError",
    "OutcomeUnknownError",
    "Patience",
    "QueueFullError",
    "Refused",
    "Saved",
    "Status",
    "Superseded",
    "Visit",
    "Watch",
    "connect",
    "parse_url",
]
