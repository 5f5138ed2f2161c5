"""A small shared state for tests: two hands that only their owners see, a turn that goes back and forth."""

from typing import Any

HIDDEN = "hidden_hand"
"""A name that nobody but whom it is for may ever hear."""

CANARY = "canary-4711"
"""What is in the hidden place."""

MACHINE: dict[str, Any] = {
    "format": 1,
    "name": "cards",
    "schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["status", "turn", "points"],
        "properties": {
            "status": {"enum": ["open", "over"]},
            "turn": {"enum": ["one", "two"]},
            "points": {"type": "integer", "minimum": 0, "maximum": 5},
            HIDDEN: {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "initial": {"status": "open", "turn": "one", "points": 0, HIDDEN: {}},
    "status": "/status",
    "roles": {
        "one": {"clients": ["one"]},
        "two": {"clients": ["two"]},
        "judge": {"tokens": ["judge"], "shares": ["owner"]},
    },
    "transitions": [
        {"name": "draw", "from": "open", "who": ["one", "two"], "may_change": [f"/{HIDDEN}/*"]},
        {
            "name": "play",
            "from": "open",
            "who": ["one", "two"],
            "may_change": ["/turn", "/points"],
            "guard": {
                "and": [
                    {"in": [{"var": "before.turn"}, {"var": "who.roles"}]},
                    {"!=": [{"var": "before.turn"}, {"var": "after.turn"}]},
                    {"==": [{"var": "after.points"}, {"+": [{"var": "before.points"}, 1]}]},
                ]
            },
        },
        {"name": "end", "from": "open", "to": "over", "may_change": []},
        {
            "name": "again",
            "from": "over",
            "to": "open",
            "may_change": ["/points"],
            "guard": {"==": [{"var": "after.points"}, 0]},
        },
    ],
    "views": [
        {"name": "one", "roles": ["one"], "hide": [f"/{HIDDEN}/two"]},
        {"name": "two", "roles": ["two"], "hide": [f"/{HIDDEN}/one"]},
        {"name": "judge", "roles": ["judge"], "hide": []},
        {"name": "all", "hide": [f"/{HIDDEN}"]},
    ],
    "revert": ["judge"],
}
