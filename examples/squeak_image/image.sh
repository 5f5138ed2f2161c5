#!/bin/sh
# Works from any folder: `image.sh --help` tells the options. `exec` keeps the process id.
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python3}" -m examples.squeak_image.image "$@"
