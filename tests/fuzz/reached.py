"""Which lines do the inputs of a corpus reach? `python tests/fuzz/reached.py CORPUS`: a folder for each target."""

import contextlib
import io
import logging
import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

MAX_INPUTS = 3000
"""Of each target; the rest adds little."""


def main() -> None:
    """Play every input again, and count."""
    import structlog  # noqa: PLC0415 -- before what is measured

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    measure = coverage.Coverage(source=[str(ROOT / "stui_sessiond")], data_file=None, branch=True)
    measure.start()
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 -- measured as it is imported

    modules: dict[str, None] = {}
    for target in TARGETS:
        modules.update(dict.fromkeys(target.modules))
        kept = sorted((Path(sys.argv[1]) / target.name).glob("*"))[:MAX_INPUTS]
        for data in [*target.seeds(), *(file.read_bytes() for file in kept)]:
            with contextlib.suppress(Exception):  # what fails was counted already
                target.execute(data)
    measure.stop()
    print(f"{'module':28} {'lines':>6} {'reached':>8}  not reached")
    for module in modules:
        with contextlib.redirect_stdout(io.StringIO()):
            _, lines, _, missing, shown = measure.analysis2(str(ROOT / "stui_sessiond" / module))
        percent = 100 * (len(lines) - len(missing)) // max(1, len(lines))
        print(f"{module:28} {len(lines):>6} {percent:>7}%  {shown[:60]}")


if __name__ == "__main__":
    main()
