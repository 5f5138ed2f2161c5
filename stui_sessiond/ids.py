"""The kinds of identifier, so that one is never passed where another is meant.

They cost nothing at run time. Rules for their text live in `sessions.validator`.
"""

from typing import NewType

SessionId = NewType("SessionId", str)
"""Names one session for its whole life: `session_<counter>_<unix seconds>_<random>`."""

ClientId = NewType("ClientId", str)
"""The name a client gives itself; sessions belong to one."""

ToolId = NewType("ToolId", str)
"""One tool (workspace, inspector, browser...) inside a session."""

ImageId = NewType("ImageId", str)
"""The lasting name of an image; its restarts keep it."""

InstanceId = NewType("InstanceId", str)
"""One run of an image; new at each of its starts."""

ConnectionId = NewType("ConnectionId", str)
"""One logical connection of a client; it goes on when it is resumed over another socket."""

DEFAULT_TOOL = ToolId("default")
"""The tool that a request without `tool_id` means."""
