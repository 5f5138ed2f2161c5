"""Which cases of the Autobahn|Testsuite fail with ours that the bare library passes? Exit code 1 if there are any."""

import collections
import json
import sys
from pathlib import Path

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


def main() -> int:
    """Print the counts and the differences."""
    found = json.loads(Path(sys.argv[1]).read_text())
    for agent, cases in found.items():
        counts = collections.Counter(case["behavior"] for case in cases.values())
        closes = collections.Counter(case["behaviorClose"] for case in cases.values())
        print(f"{agent:14} {len(cases)} cases: {dict(counts)}; closing: {dict(closes)}")
    own, bare = found["stui_sessiond"], found["websockets"]
    worse = [
        name
        for name, case in own.items()
        for key in ("behavior", "behaviorClose")
        if case[key] not in PASSED and bare[name][key] in PASSED
    ]
    print(f"worse than the bare library: {worse or 'none'}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
