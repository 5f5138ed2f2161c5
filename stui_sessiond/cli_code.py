"""The `code` commands: which changes of code did an image take, and how does it get those back that it lost?

Exit codes: 0 good, 1 it was refused, or not every change is in the image, 2 wrong use, 3 no daemon answers.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from stui_sessiond.cli_ask import AT, EXIT_FAILED, JSON, TOKEN, ask, with_tls

PAGE = 1000
"""Changes that are asked for at a time."""

_SETTLED = {"applied", "would_apply", "not_needed"}


@click.group()
def code() -> None:
    """Changes of code that images took, which the daemon keeps outside of them."""


@code.command()
@click.argument("image_id")
@click.option("--class", "class_name", metavar="NAME", help="Only those of this class.")
@click.option("--sources", is_flag=True, help="Print the sources as well.")
@AT
@TOKEN
@JSON
@with_tls
def changes(
    image_id: str, class_name: str | None, url: str | None, token: str | None, *, sources: bool, as_json: bool
) -> None:
    """List the changes of code that an image took, the oldest first."""
    found = False
    for change in _changes(image_id, class_name, url, token, as_json=as_json):
        found = True
        if as_json:
            click.echo(json.dumps(change, ensure_ascii=False))
            continue
        click.echo(
            f"{change['change_id']}  {change['at']}  {_what(change)}  by {change['client_id'] or change['origin']}"
        )
        if sources and change["source"] is not None:
            click.echo("".join(f"    {line}\n" for line in change["source"].splitlines()))
    if not found and not as_json:
        click.echo(f"No change of code of image {image_id!r} is kept.")


@code.command()
@click.argument("image_id")
@click.argument("change_ids", nargs=-1, metavar="[CHANGE_ID]...")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--force", is_flag=True, help="Also where the image has a text that no change knows.")
@AT
@TOKEN
@JSON
@with_tls
def reapply(
    image_id: str,
    change_ids: tuple[str, ...],
    url: str | None,
    token: str | None,
    *,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Make the changes again that an image lost, because it ended without being saved.

    Of each method and class the newest change counts; with CHANGE_IDs, of these.
    """
    asked = {"image_id": image_id, "change_ids": list(change_ids) or None, "dry_run": dry_run, "force": force}
    result = ask("reapply_code_changes", asked, url, token, None, as_json=as_json)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        _show(result)
    sys.exit(0 if all(row["outcome"] in _SETTLED for row in result["changes"]) else EXIT_FAILED)


def _changes(
    image_id: str, class_name: str | None, url: str | None, token: str | None, *, as_json: bool
) -> Iterator[dict[str, Any]]:
    after: str | None = None
    more = True
    while more:
        asked = {"image_id": image_id, "class_name": class_name, "after": after, "limit": PAGE}
        page = ask("list_code_changes", asked, url, token, None, as_json=as_json)
        yield from page["changes"]
        more = page["more"]
        after = page["changes"][-1]["change_id"] if page["changes"] else after


def _show(result: Mapping[str, Any]) -> None:
    rows = result["changes"]
    for row in rows:
        if row["outcome"] != "not_needed":
            reason = f": {row['reason']}" if row["reason"] else ""
            click.echo(f"{row['outcome']:<11}  {row['change_id']}  {_what(row)}{reason}")
    present = sum(row["outcome"] == "not_needed" for row in rows)
    click.echo(f"{result['applied']} applied, {present} of {len(rows)} were there already.")


def _what(change: Mapping[str, Any]) -> str:
    side = " class" if change["is_class_method"] else ""
    place = f"{change['class_name']}{side}"
    if change["selector"] is not None:
        place = f"{place}>>{change['selector']}"
    return f"{place} (removed)" if change["kind"].endswith("_removed") else place
