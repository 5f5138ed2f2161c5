"""The commands `fuzz` and `fuzz-image`: does a daemon, or an image, keep its word whatever it is sent?

Exit codes: 0 nothing found, 1 something was found, 2 wrong use, 3 nobody answers.
"""

import asyncio
import json
import secrets
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

EXIT_FOUND = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
MEGABYTE = 1024 * 1024

_SECONDS = click.option("--seconds", default=60.0, show_default=True, help="How long.")
_SEED = click.option("--seed", type=int, metavar="N", help="The same seed sends the same. Default: a new one.")
_OUT = click.option(
    "--out",
    default="fuzz-failure.txt",
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the first failure is written, as a transcript.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")


@click.command()
@click.argument("url")
@_SECONDS
@_SEED
@click.option("--conversations", type=click.IntRange(min=1), metavar="N", help="At most so many conversations.")
@click.option("--token", envvar="STUI_SESSIOND_TOKEN", metavar="TOKEN", help="Better given as STUI_SESSIOND_TOKEN.")
@click.option("--pid", type=int, metavar="PID", help="The daemon's process, whose memory is to be watched.")
@click.option("--max-memory", default=1024, show_default=True, metavar="MB", help="What it may have, with --pid.")
@click.option("--replay", type=click.Path(path_type=Path, exists=True), metavar="FILE", help="Play this transcript.")
@_OUT
@_JSON
def fuzz(
    url: str,
    seconds: float,
    seed: int | None,
    conversations: int | None,
    token: str | None,
    pid: int | None,
    max_memory: int,
    replay: Path | None,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Fuzz the daemon at URL: requests made from the descriptors, well-formed and not.

    Makes sessions and deletes them. Code is evaluated in an image of the fuzzer's own only. Take a daemon that you can
    spare: everything that a client may do is done to it.
    """
    _need_extra()
    from stui_sessiond.testing import TokenNeededError, UnreachableError  # noqa: PLC0415 -- only needed here
    from stui_sessiond.testing.fuzz import campaign, transcript  # noqa: PLC0415 -- only with the extra
    from stui_sessiond.testing.fuzz.tally import FailureError  # noqa: PLC0415 -- the same

    chosen = secrets.randbelow(10**9) if seed is None else seed
    wanted = campaign.Wanted(
        url=url,
        token=token,
        seconds=seconds,
        conversations=conversations,
        seed=chosen,
        pid=pid,
        max_rss_bytes=max_memory * MEGABYTE,
    )
    try:
        if replay is not None:
            _replay(url, token, replay)
        _say(f"fuzzing {url} for {seconds:g} s, seed {chosen}")
        fuzzer = campaign.Fuzzer(wanted)
        failure = asyncio.run(fuzzer.run(_say))
    except UnreachableError as error:
        _fail(f"{error}\nStart one with `stui-sessiond serve`.", EXIT_UNREACHABLE)
    except (TokenNeededError, FailureError, ValueError) as error:
        _fail(str(error), EXIT_USAGE)
    found = None if failure is None else {"kind": failure.kind, "text": failure.text, "seed": failure.seed}
    if failure is not None:
        out.write_text(transcript.as_transcript(failure, token), "utf-8")
        vectors = transcript.as_vectors(failure)
        if vectors is not None:
            out.with_suffix(".vectors.json").write_text(vectors, "utf-8")
    _report({"seed": chosen, **fuzzer.tally.as_dict()}, fuzzer.tally.table(), found, out, as_json=as_json)


@click.command("fuzz-image")
@click.option("--listen", required=True, metavar="HOST:PORT", help="Where the image connects; port 0 takes a free one.")
@_SECONDS
@_SEED
@_OUT
@_JSON
def fuzz_image(listen: str, seconds: float, seed: int | None, out: Path, *, as_json: bool) -> None:
    """Fuzz an image: play the daemon, and ask the first image that connects what a daemon asks, and worse.

    Start the image with this address instead of the daemon's. Code is evaluated in it; take one that you can spare.
    """
    _need_extra()
    from stui_sessiond.config import parse_address  # noqa: PLC0415 -- only needed here
    from stui_sessiond.errors import ConfigError  # noqa: PLC0415 -- only needed here
    from stui_sessiond.testing.fuzz import image_trial  # noqa: PLC0415 -- only with the extra

    chosen = secrets.randbelow(10**9) if seed is None else seed
    try:
        host, port = parse_address(listen, "--listen")
        trial = image_trial.ImageTrial(image_trial.WantedImage(host=host, port=port, seconds=seconds, seed=chosen))
        waiting = f"waiting for an image on tcp://{host}:"
        failure = asyncio.run(trial.run(lambda found: _say(f"{waiting}{found}, seed {chosen}"), _say))
    except ConfigError as error:
        _fail(str(error), EXIT_USAGE)
    except OSError as error:
        _fail(f"{listen}: {error.strerror or 'no image has come'}", EXIT_UNREACHABLE)
    found = None if failure is None else {"kind": failure.kind, "text": failure.text, "seed": failure.seed}
    if failure is not None:
        out.write_text(image_trial.as_transcript(failure), "utf-8")
    told = {"seed": chosen, "image_id": trial.image_id, **trial.tally.as_dict()}
    _report(told, trial.tally.table(), found, out, as_json=as_json)


# ---- inside


def _replay(url: str, token: str | None, file: Path) -> NoReturn:
    """Play one transcript, say what differs, and end."""
    from stui_sessiond.testing.runner import find_target, run_transcript  # noqa: PLC0415 -- only needed here
    from stui_sessiond.testing.transcripts import Transcript, TranscriptError, parse_transcript  # noqa: PLC0415 -- the same

    async def play(transcript: Transcript) -> list[str]:
        return await run_transcript(transcript, await find_target(url, token))

    try:
        differences = asyncio.run(play(parse_transcript(file.name, file.read_text("utf-8"))))
    except TranscriptError as error:
        _fail(str(error), EXIT_USAGE)
    for line in differences:
        click.echo(line)
    click.echo("the failure is still there" if differences else "all of it went as it should")
    sys.exit(EXIT_FOUND if differences else 0)


def _report(told: dict[str, Any], table: str, found: dict[str, Any] | None, out: Path, *, as_json: bool) -> NoReturn:
    """Print what was done and found, and end."""
    if as_json:
        failure = None if found is None else {**found, "transcript": str(out)}
        click.echo(json.dumps({**told, "failure": failure}, ensure_ascii=False))
    else:
        click.echo(table)
        click.echo(f"{told['messages']} messages in {told['conversations']} conversations, {told['hostile']} hostile")
        if found is None:
            click.echo("Nothing was found.")
        else:
            click.echo(f"FOUND {found['kind']}: {found['text']}\nThe transcript is in {out}.")
    sys.exit(0 if found is None else EXIT_FOUND)


def _need_extra() -> None:
    try:
        import jsonschema  # noqa: F401, PLC0415 -- only fuzzing needs it
    except ImportError:
        _fail("fuzzing takes the extra: pip install 'stui-sessiond[fuzz]'", EXIT_USAGE)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _fail(text: str, code: int) -> NoReturn:
    click.echo(f"stui-sessiond: {text}", err=True)
    sys.exit(code)
