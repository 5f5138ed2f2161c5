"""Coverage-guided fuzzing of one target with atheris: `python tests/fuzz/guided.py TARGET CORPUS SECONDS SEED`.

atheris ends the process itself: 0 when the time is up, another code when an input raised what it may not. That input
is then in the folder of the corpus as `crash-...`. Without atheris the target is run with random damage to its seeds.
"""

import hashlib
import logging
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

MAX_BYTES = 8192


def main() -> None:
    """Run one target."""
    name, folder, seconds, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    import structlog  # noqa: PLC0415 -- before what is instrumented

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        import atheris  # noqa: PLC0415 -- optional
    except ImportError:
        _unguided(name, folder, seconds, seed)
        return
    with atheris.instrument_imports(include=["stui_sessiond"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 -- instrumented as it is imported
    target = next(each for each in TARGETS if each.name == name)
    folder.mkdir(parents=True, exist_ok=True)
    for data in target.seeds():
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={MAX_BYTES}", "-print_final_stats=1"]
    options += [f"-artifact_prefix={folder}/crash-", "-rss_limit_mb=2048", "-timeout=10", str(folder)]
    atheris.Setup([sys.argv[0], *options], target.execute)
    atheris.Fuzz()


def _unguided(name: str, folder: Path, seconds: int, seed: int) -> None:
    from tests.fuzz.targets import TARGETS, mutate  # noqa: PLC0415 -- as above

    target = next(each for each in TARGETS if each.name == name)
    chooser = random.Random(seed)  # noqa: S311 -- tests are repeatable, not secret
    seeds, end, count = target.seeds(), time.monotonic() + seconds, 0
    data = b""
    try:
        while time.monotonic() < end:
            data = mutate(chooser, chooser.choice(seeds))
            count += 1
            target.execute(data)
    except Exception:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"crash-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
        raise
    finally:
        print(f"stat::number_of_executed_units: {count}", file=sys.stderr)


if __name__ == "__main__":
    main()
