"""Writes the table of `docs/reference/metrics.md` from what a daemon tells; run as a program it does that."""

import asyncio
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
HEAD = "| metric | kind | labels | what it tells |\n|---|---|---|---|\n"

sys.path.insert(0, str(ROOT))


async def table() -> str:
    """Make the table of a daemon that has a disk and a backup."""
    from stui_sessiond.observe.metrics import DaemonCollector  # noqa: PLC0415 -- the path is set only now
    from stui_sessiond.storage.file import FileStorage  # noqa: PLC0415 -- as above
    from tests.unit.bed.daemon import running_daemon  # noqa: PLC0415 -- as above

    rows = []
    with tempfile.TemporaryDirectory(prefix="stui-") as folder:
        async with running_daemon(FileStorage(Path(folder) / "data"), audited=True) as running:
            async with running.talker() as client:
                await client.call("create_backup")
            for family in DaemonCollector(running.daemon.observed).collect():
                name = {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(family.type, family.name)
                labels = ["version"] if family.type == "info" else getattr(family, "_labelnames", ())
                told = ", ".join(f"`{label}`" for label in labels)
                rows.append(f"| `{name}` | {family.type} | {told} | {family.documentation} |\n")
    return HEAD + "".join(sorted(rows))


def with_table(page: str, rows: str) -> str:
    """Put the table into the page, in the place of the one that is there."""
    start = page.index(HEAD)
    end = page.find("\n\n", start)
    return page[:start] + rows + ("" if end < 0 else page[end + 1 :])


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), asyncio.run(table())), "utf-8")
