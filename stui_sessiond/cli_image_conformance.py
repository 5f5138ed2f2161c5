"""The command `image-conformance`: does an image keep the promises of `protocol/IMAGES.md`?

Exit codes: 0 it does, as far as it says it can; 1 it does not; 2 wrong use; 3 no daemon answers, or no such image.
"""

import asyncio
import sys

import click

from stui_sessiond import cli_ask as asking


@click.command("image-conformance")
@click.argument("url")
@click.option("--image-id", "image_ids", multiple=True, required=True, metavar="ID", help="The image; may be repeated.")
@asking.TOKEN
@click.option("--only", default="*", metavar="PATTERN", help="Only cases whose name matches, such as 'evaluate/*'.")
@click.option("--step", "step_s", default=20.0, show_default=True, metavar="SECONDS", help="How long a step may take.")
@asking.JSON
@asking.with_tls
def image_conformance(
    url: str, image_ids: tuple[str, ...], token: str | None, only: str, step_s: float, *, as_json: bool
) -> None:
    """Check that images connected to the daemon at URL keep their word.

    Plays the cases of protocol/vectors/images (protocol/VECTORS.md) as a client. What an image does not publish is not
    asked. Code runs in the image, and classes named Conf... come and go: take an image that you can spare.
    """
    from stui_sessiond.testing import TokenNeededError, UnreachableError  # noqa: PLC0415 -- only needed here
    from stui_sessiond.testing.images import report, run  # noqa: PLC0415 -- the same

    def say(line: str) -> None:
        click.echo(line, err=True)

    try:
        found = asyncio.run(run.run_image_conformance(url, image_ids, token, only=only, say=say, step_s=step_s))
    except UnreachableError as error:
        asking.fail(f"{error}\nStart one with `stui-sessiond serve`.", asking.EXIT_UNREACHABLE)
    except run.UnknownImageError as error:
        asking.fail(str(error), asking.EXIT_UNREACHABLE)
    except (TokenNeededError, ValueError) as error:
        asking.fail(str(error), asking.EXIT_USAGE)
    if not found.rows:
        asking.fail(f"no case is called {only!r}", asking.EXIT_USAGE)
    click.echo(report.as_json(found) if as_json else report.as_table(found))
    sys.exit(asking.EXIT_FAILED if found.count("failed") else 0)
