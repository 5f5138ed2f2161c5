"""The `images` command: how is each image, and what is the matter with it?

Exit codes: 0 good, 1 it was refused, 2 wrong use, 3 no daemon answers.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from stui_sessiond.cli_ask import AT, JSON, TOKEN, ask, with_tls
from stui_sessiond.printable import printable

Json = dict[str, Any]

MAX_SESSIONS = 20
"""Sessions of an image that are shown; `--json` has them all."""


@click.command()
@AT
@TOKEN
@JSON
@with_tls
def images(url: str | None, token: str | None, *, as_json: bool) -> None:
    """List images: how each is, what is the matter with it, and its sessions."""
    found = ask("list_images", {}, url, token, None, as_json=as_json)["images"]
    sessions = ask("list_image_sessions", {}, url, token, None, as_json=as_json)["sessions"]
    if as_json:
        click.echo(json.dumps({"images": found, "sessions": sessions}, ensure_ascii=False))
    else:
        _show(found, sessions)


def _show(images: list[Json], sessions: list[Json]) -> None:
    for image in sorted(images, key=_urgency):
        own = [row for row in sessions if row["image_id"] == image["image_id"]]
        for line in _lines(image, own):
            click.echo(line)
    if not images:
        click.echo("There are none yet. An image that dials in, and one that a session belongs to, is listed here.")


def _lines(image: Json, sessions: list[Json]) -> Iterator[str]:
    what = " ".join(filter(None, (image["dialect"], image["version"]))) or "-"
    name = printable(image["image_id"])
    yield f"{name:24} {image['status']:13} {image['health']:9} {image['condition']:18} {printable(what)}"
    count = image["session_count"]
    seen = "never seen" if image["last_seen"] is None else f"seen {_age(image['last_seen'])}"
    yield f"    {count} session{'' if count == 1 else 's'}, {seen}"
    failed = sorted(word for word, outcome in image["certificate"].items() if outcome == "failed")
    if failed:
        yield f"    does not work: {printable(', '.join(failed))}"
    for conflict in image["conflicts"]:
        yield f"    ! {printable(conflict['text'])}"
    for row in sessions[:MAX_SESSIONS]:
        state = "orphaned" if row["orphaned"] else "active" if row["is_active"] else "expired"
        title = f" {printable(row['name'])}" if row["name"] else ""
        attached = row["attached_clients"]
        yield f"    {row['session_id']}  {state:8} {printable(row['client_id'])}{title}, {attached} attached"
    if len(sessions) > MAX_SESSIONS:
        yield f"    ... and {len(sessions) - MAX_SESSIONS} more"


def _urgency(image: Json) -> tuple[bool, str]:
    """Those that somebody should look at come first."""
    well = image["condition"] in {"idle", "evaluating"} and not image["conflicts"]
    return well, image["image_id"]


def _age(time: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
