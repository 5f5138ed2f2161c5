"""python-socketio on uvicorn, as its documentation shows it: acknowledges updates, and tells a room."""

import sys

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", ping_interval=60)
states: dict[str, object] = {}


@server.event
async def connect(sid: str, _environ: dict[str, object]) -> None:
    """Everybody is in the room."""
    await server.enter_room(sid, "all")


@server.event
async def update(_sid: str, data: dict[str, object]) -> dict[str, str]:
    """Keep a state in memory."""
    states[str(data["session_id"])] = data["state"]
    return {"status": "ok"}


@server.event
async def publish(sid: str, data: dict[str, object]) -> None:
    """Tell all others."""
    await server.emit("published", data, room="all", skip_sid=sid)


uvicorn.run(
    socketio.ASGIApp(server),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="critical",
    backlog=1024,
    lifespan="off",
)
