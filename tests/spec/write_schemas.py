"""Writes `protocol/schema/*.json` from the typed messages: `python tests/spec/write_schemas.py`.

Run it after a change to `stui_sessiond/wire/messages` or `stui_sessiond/wire/forms.py`, and look at what changed.
"""

from pathlib import Path

from stui_sessiond.wire.schema import all_schemas, render

FOLDER = Path(__file__).resolve().parents[2] / "protocol" / "schema"


def main() -> None:
    """Write every document, and remove those nothing makes any more."""
    FOLDER.mkdir(exist_ok=True)
    wanted = {f"{name}.json": render(schema) for name, schema in all_schemas().items()}
    for present in FOLDER.glob("*.json"):
        if present.name not in wanted:
            present.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_bytes(text)


if __name__ == "__main__":
    main()
