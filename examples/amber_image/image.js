#!/usr/bin/env node
'use strict';
// image.js answers: how are the parts of the image put together and taken down?

const { randomUUID } = require('node:crypto');
const os = require('node:os');
const { VmHost } = require('./host');
const { Link } = require('./link');
const { HELP, UsageError, parseOptions } = require('./options');

const CAPABILITIES = [
  'evaluate', 'interrupt', 'inspect', 'handles', 'receiver_handle', 'release_handles', 'debug', 'transcript',
  'list_packages', 'list_classes', 'get_hierarchy', 'browse_class', 'get_method', 'find_methods', 'code_completion',
  'compile_method', 'remove_method', 'define_class', 'remove_class', 'code_changed',
  'system_info', 'ping', 'capture_context', 'release_session',
];
const EXIT_REFUSED = 1;
const EXIT_USAGE = 2;
const EXIT_VM_DIED = 70;

process.stderr.on('error', () => {});

function log(text) {
  process.stderr.write(`amber-image: ${text.replace(/\s*\n\s*/g, ' ')}\n`);
}

function identity(options, version) {
  return {
    image_id: options.imageId,
    name: options.name,
    dialect: 'Amber',
    version,
    vm: `Node ${process.version}`,
    instance_id: randomUUID(),
    generation: 1,
    capabilities: CAPABILITIES,
    changes_file: null,
    host: os.hostname(),
    process_id: process.pid,
  };
}

function readOptions() {
  try {
    const options = parseOptions(process.argv.slice(2), process.env);
    if (options.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    require.resolve('@ambers/lang/package.json');
    require.resolve('requirejs');
    return options;
  } catch (error) {
    const known = error instanceof UsageError;
    if (!known && error.code !== 'MODULE_NOT_FOUND') throw error;
    log(known ? error.message : "the Amber packages are missing: run 'npm ci' beside image.js");
    process.exit(EXIT_USAGE);
  }
}

async function main() {
  const options = readOptions();
  let link = null;
  const leave = (code) => (link ? link.close(() => process.exit(code)) : process.exit(code));
  const host = new VmHost({
    answer: (line, request) => link.answer(line, request),
    push: (line) => link && link.push(line),
    died: (cause) => {
      log(`the Smalltalk virtual machine died: ${cause}`);
      leave(EXIT_VM_DIED);
    },
    leave: () => link.leave(),
    join: (version) => link.join(identity(options, version)),
    log,
  });
  const stop = () => {
    host.stop();
    leave(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  const { STUI_SESSIOND_TOKEN: _token, ...environment } = process.env;
  const { version } = await host.start(environment);
  link = new Link({
    address: options.address,
    token: options.token,
    identity: identity(options, version),
    onRequest: (message, connection) => host.request(message, connection),
    onDisconnect: (connection) => host.forget(connection),
    onRefused: (text) => {
      log(text);
      host.stop();
      process.exit(EXIT_REFUSED);
    },
    log,
  });
  log(`Amber ${version} is ready`);
  link.open();
}

main();
