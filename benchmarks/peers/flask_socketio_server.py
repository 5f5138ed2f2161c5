"""Flask-SocketIO on gevent, as its documentation shows it: acknowledges updates."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 -- gevent has to come first

from flask import Flask  # noqa: E402 -- the same
from flask_socketio import SocketIO  # noqa: E402 -- the same

app = Flask(__name__)
server = SocketIO(app, async_mode="gevent", cors_allowed_origins="*", ping_interval=60)
states: dict[str, object] = {}


@server.on("update")
def update(data: dict[str, object]) -> dict[str, str]:
    """Keep a state in memory."""
    states[str(data["session_id"])] = data["state"]
    return {"status": "ok"}


server.run(app, host="127.0.0.1", port=int(sys.argv[1]))
