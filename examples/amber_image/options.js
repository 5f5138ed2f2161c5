'use strict';
// options.js answers: what did the command line ask for?

const HELP = `Usage: node image.js --connect ADDRESS [options]

Runs a live Amber Smalltalk image and connects it to stui_sessiond.

  --connect ADDRESS   tcp://HOST:PORT or unix:///PATH of the daemon (required)
  --image-id ID       the id clients choose this image by (default: amber-dev)
  --name NAME         a name for people (default: Amber Smalltalk)
  --token TOKEN       the daemon's token (default: the environment variable STUI_SESSIOND_TOKEN)
  --help              shows this text

Logs go to the standard error stream. Exit codes: 0 after SIGTERM or SIGINT, 1 when the daemon refuses
the image for good, 2 for a wrong command line, 70 when the Smalltalk virtual machine died.
`;

const FIELDS = { '--connect': 'connect', '--image-id': 'imageId', '--name': 'name', '--token': 'token' };

class UsageError extends Error {}

function parseAddress(text) {
  const tcp = /^tcp:\/\/(\[[^\]]+\]|[^:/]+):(\d{1,5})\/?$/.exec(text);
  if (tcp) {
    const port = Number(tcp[2]);
    if (port < 1 || port > 65535) throw new UsageError(`--connect: ${port} is no port`);
    return { text, socket: { host: tcp[1].replace(/^\[|\]$/g, ''), port } };
  }
  if (/^unix:\/\/\/./.test(text)) return { text, socket: { path: text.slice('unix://'.length) } };
  throw new UsageError(`--connect wants tcp://HOST:PORT or unix:///PATH, not '${text}'`);
}

function parseOptions(argv, environment) {
  const given = {};
  for (let i = 0; i < argv.length; i += 1) {
    if (argv[i] === '--help' || argv[i] === '-h') return { help: true };
    const [, flag, inline] = /^(--[a-z-]+)(?:=([^]*))?$/.exec(argv[i]) || [];
    if (!FIELDS[flag]) throw new UsageError(`unknown argument '${argv[i]}' (try --help)`);
    if (inline === undefined) i += 1;
    const value = inline === undefined ? argv[i] : inline;
    if (!value) throw new UsageError(`${flag} needs a value`);
    given[FIELDS[flag]] = value;
  }
  if (!given.connect) throw new UsageError('--connect is missing (try --help)');
  return {
    help: false,
    address: parseAddress(given.connect),
    imageId: given.imageId || 'amber-dev',
    name: given.name || 'Amber Smalltalk',
    token: given.token || environment.STUI_SESSIOND_TOKEN || null,
  };
}

module.exports = { HELP, UsageError, parseOptions };
