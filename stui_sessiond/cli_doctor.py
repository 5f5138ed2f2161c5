"""The `doctor` command: what is wrong, what does it mean, what helps? Changes nothing.

Exit codes: 0 nothing that hurts, 1 warnings, 2 problems.
"""

import json
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stui_sessiond.doctor.finding import Finding

EXITS = {"ok": 0, "note": 0, "warning": 1, "problem": 2}
_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings, TOML.")
@click.option("--data-dir", metavar="DIR", help="As for `serve`, like the others.")
@click.option("--runtime-dir", metavar="DIR")
@click.option("--http", metavar="HOST:PORT")
@click.option("--lines", metavar="HOST:PORT")
@click.option("--unix", metavar="PATH")
@click.option("--auth", metavar="none|token")
@click.option("--ready-file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
def doctor(config_file: Path | None, *, as_json: bool, **given: str | None) -> None:
    """Look at everything a daemon needs, running or not, and say what to do about what is wrong.

    Give the settings `serve` gets. Nothing is changed. Exit codes: 0 nothing that hurts, 1 warnings, 2 problems.
    """
    import structlog  # noqa: PLC0415 -- the other commands start faster without

    from stui_sessiond import config, errors  # noqa: PLC0415 -- the same
    from stui_sessiond.doctor.examination import examine  # noqa: PLC0415 -- the same
    from stui_sessiond.doctor.finding import Finding, worst  # noqa: PLC0415 -- the same

    # what the log would say is in the findings
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found: list[Finding] = []
    try:
        settings = config.load_settings(config_file, os.environ, given)
    except errors.ConfigError as error:
        found.append(Finding("problem", "settings", str(error), "the daemon does not start", "correct that setting"))
        if not as_json:
            _show(found)
    else:
        for finding in examine(settings):
            found.append(finding)
            if not as_json:
                _show([finding])
    level = worst(found)
    if as_json:
        import msgspec  # noqa: PLC0415 -- only needed here

        click.echo(json.dumps({"worst": level, "findings": msgspec.to_builtins(found)}, ensure_ascii=False))
    else:
        counts = ", ".join(f"{sum(1 for finding in found if finding.level == each)} {each}" for each in reversed(EXITS))
        click.echo(f"\n{counts}")
    sys.exit(EXITS[level])


def _show(findings: "Iterable[Finding]") -> None:
    """Print findings in columns; colours only where a terminal reads them."""
    from stui_sessiond.printable import printable  # noqa: PLC0415 -- only needed here

    for finding in findings:
        level = click.style(f"{finding.level:8}", fg=_COLOURS[finding.level])
        click.echo(f"{level} {printable(finding.check):18} {printable(finding.what)}")
        if finding.level != "ok" and finding.meaning:
            click.echo(f"{'':27} {printable(finding.meaning)}")
        if finding.level != "ok" and finding.advice:
            click.echo(f"{'':27} -> {printable(finding.advice)}")
