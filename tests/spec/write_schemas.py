"""Writes `protocol/schema/*.json`, `openapi.json` and `asyncapi.json`: `python tests/spec/write_schemas.py`.

Run it after a change to `stui_sessiond/wire/messages` or `stui_sessiond/wire/forms.py`, to a descriptor, an error code
or the table of events, and look at what changed.
"""

from pathlib import Path

from stui_sessiond.contract import load_contract
from stui_sessiond.web.asyncapi import make_asyncapi
from stui_sessiond.web.openapi import make_openapi
from stui_sessiond.wire.schema import all_schemas, render

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"
FOLDER = PROTOCOL / "schema"


def documents() -> dict[str, bytes]:
    """Make what tools read, by file name."""
    text = (PROTOCOL / "PROTOCOL.md").read_text("utf-8")
    made = {"openapi": make_openapi(load_contract()), "asyncapi": make_asyncapi(load_contract(), text)}
    return {f"{name}.json": render(document) for name, document in made.items()}


def main() -> None:
    """Write every document, and remove those nothing makes any more."""
    FOLDER.mkdir(exist_ok=True)
    wanted = {f"{name}.json": render(schema) for name, schema in all_schemas().items()}
    for present in FOLDER.glob("*.json"):
        if present.name not in wanted:
            present.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_bytes(text)
    for name, text in documents().items():
        (PROTOCOL / name).write_bytes(text)


if __name__ == "__main__":
    main()
