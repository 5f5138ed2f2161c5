#!/bin/sh
# Gets the peers that the daemon is measured beside: Python packages into .venv-bench, Socket.IO for Node, Redis and NATS.
# Nothing is started, nothing outside of this checkout is changed. What cannot be had is named, and left out of the tables.
cd "$(dirname "$0")" || exit 1
root=$(cd ../.. && pwd)
venv=$root/.venv-bench

left_out() { echo "LEFT OUT: $1" >&2; }

if [ ! "$venv/.installed" -nt "$root/requirements/bench.txt" ]; then
  if { [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"; } &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$root/requirements/bench.txt"; then
    touch "$venv/.installed"
  else
    left_out "python-socketio, Flask-SocketIO, aiohttp and the prebuilt frame: their packages were not installed"
  fi
fi

if [ ! node/node_modules/.package-lock.json -nt node/package-lock.json ]; then
  (cd node && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json) ||
    left_out "Node socket.io: npm ci failed"
fi

# Debian's packages are unpacked, not installed: an installation would start the services.
unpack() {
  mkdir -p build/deb
  (
    cd build/deb || exit 1
    apt-get download -q "$@" >/dev/null 2>&1 || { apt-get update -q && apt-get download -q "$@"; } >/dev/null 2>&1 || exit 1
    for file in *.deb; do dpkg -x "$file" .. || exit 1; done
  )
}

if ! command -v redis-server >/dev/null && [ ! -x build/usr/bin/redis-server ]; then
  needed=$(apt-cache depends redis-tools redis-server 2>/dev/null | sed -n 's/.*Depends: \(lib[a-z0-9.-]*\)$/\1/p' |
    grep -E 'jemalloc|lzf|hiredis|lua' | sort -u)
  # shellcheck disable=SC2086 # several names
  unpack redis-server redis-tools $needed || left_out "Redis: no redis-server on the path, and its packages were not had"
fi
if ! command -v nats-server >/dev/null && [ ! -x build/usr/sbin/nats-server ]; then
  unpack nats-server || left_out "NATS: no nats-server on the path, and its package was not had"
fi
exit 0
