"""One expression on all images that are connected: which of them agree?

    python examples/evaluate_on_images.py CODE [URL]

It takes a running daemon (`make run`) with images connected to it; amber_image/README.md starts one, and with another
`--image-id` one more. Without a URL the daemon is looked for on this user's unix socket. Try `1 / 3`: not all dialects
have fractions.
"""

import asyncio
import os
import sys

from msgspec import UNSET

from stui_sessiond.client import ClientError, connect
from stui_sessiond.config import load_settings, unix_path
from stui_sessiond.wire.messages.evaluation import AnswerGroup

PATIENCE_S = 10.0
"""How long an image may take. One that takes longer is interrupted, and delays nobody."""


def outcome(group: AnswerGroup) -> str:
    """Say what the images of a group answered."""
    if group.kind == "value":
        return f"{group.result} ({group.result_type})"
    if group.error is not UNSET:
        return f"{group.error.class_}: {group.error.message}"
    return f"no answer ({group.code}): {group.message}"


async def main(code: str, url: str) -> None:
    """Evaluate the code everywhere and print each answer once, with the images that gave it."""
    async with connect(url) as client:
        # No session: nothing stays behind in the images but what the code itself does there.
        answers = await client.evaluate_on(code, timeout_s=PATIENCE_S)
        print(f"{code}  on {answers.images_asked} images")
        for group in answers.groups:
            print(f"{len(group.image_ids)}x {outcome(group)}")
            for image_id in group.image_ids:
                time_ms = answers.execution_times.get(image_id)
                print(f"   {image_id}" + ("" if time_ms is None else f"  {time_ms:.1f} ms"))


if __name__ == "__main__":
    if len(sys.argv) < 2:  # noqa: PLR2004 -- the script and the code
        sys.exit("usage: evaluate_on_images.py CODE [URL]")
    mine = unix_path(load_settings(None, os.environ, {}).server)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else f"unix://{mine}"))  # noqa: PLR2004
    except (ClientError, ValueError) as error:  # ValueError: the URL is none
        sys.exit(f"evaluate_on_images: {error}")
