'use strict';
// amber_run.js answers: do the tests of these classes pass in a live Smalltalk?
//
// The first line of the standard input is JSON: {run, classes: [{name, superclass, slots, classSlots, methods: [{classSide,
// selector, source, protocol}]}]}. The classes are compiled into Amber. With run 'tests' every test method of every subclass of
// TestCase is run, and one line is written: [{test, error}], error null when the test passed. With run 'texts' each
// further line is a JSON string that StuiJsonReader reads; the answer is a line {written}, what StuiJsonWriter makes of
// it, or {refused}. Amber lacks a few messages that every Pharo has; they are added here. Amber's characters are strings
// of length 1 and count UTF-16 units.

const path = require('node:path');
const readline = require('node:readline');

const VM = path.join(__dirname, '..', '..', 'examples', 'amber_image', 'vm');
const { startAmber } = require(path.join(VM, 'amber.js'));
const { installCompatibility } = require(path.join(VM, 'compatibility.js'));
const { messageOf } = require(path.join(VM, 'text.js'));

const ADDED = {
  Error: ['return: anObject ^ anObject', 'return ^ nil'],
  String: [
    'displayString ^ self',
    "utf8Encoded <inlineJS: 'return Array.from(Buffer.from($self.valueOf()))'>",
    'includesSubstring: aString ^ self includesSubString: aString',
    "codePoint <inlineJS: 'return $self.codePointAt(0)'>",
    'position ^ 0',
    'isArray ^ false',
    "asByteArray ^ (self collect: [ :each | each ]) asArray collect: [ :each | each codePoint ]",
    'sameAs: aString ^ self asLowercase = aString asLowercase',
  ],
  'Character class': [
    "codePoint: anInteger <inlineJS: 'return String.fromCodePoint(anInteger)'>",
    'cr ^ self codePoint: 13',
    'lf ^ self codePoint: 10',
  ],
  'String class': [
    'with: aCharacter ^ aCharacter asString',
    'with: a with: b ^ a asString, b asString',
    "new: aNumber withAll: aCharacter | text | text := ''. aNumber timesRepeat: [ text := text , aCharacter ]. ^ text",
  ],
  'ReadStream class': ['on: aCollection ^ aCollection readStream'],
  'WriteStream class': ['on: aCollection ^ aCollection writeStream'],
  'Time class': ["primUTCMicrosecondsClock <inlineJS: 'return Date.now() * 1000'>"],
  Mutex: ['critical: aBlock ^ aBlock value'],
  LimitedWriteStream: [
    "setUp text := ''",
    'setLimit: aNumber limitBlock: aBlock limit := aNumber. block := aBlock',
    'nextPutAll: aString text := text , aString. text size > limit ifTrue: [ block value ]',
    'contents ^ text',
    'print: anObject anObject printOn: self',
    'nextPut: aCharacter self nextPutAll: aCharacter',
    'space self nextPutAll: String space',
    '<< anObject self nextPutAll: anObject asString',
  ],
  'LimitedWriteStream class': ['on: aString ^ self new setUp; yourself'],
  'DynamicVariable class': [
    'value ^ current',
    `value: anObject during: aBlock
	| before |
	before := current.
	current := anObject.
	^ aBlock ensure: [ current := before ]`,
  ],
  Behavior: ['allInstVarNames ^ self allInstanceVariableNames'],
  Number: [
    "isInteger <inlineJS: 'return Number.isInteger($self.valueOf())'>",
    'isFloat ^ self isInteger not',
    'asFloat ^ self',
  ],
  'Number class': ["infinity <inlineJS: 'return Infinity'>", "nan <inlineJS: 'return NaN'>"],
  Object: [
    'displayString ^ self printString',
    'identityHash ^ 1',
    'instVarAt: anIndex ^ self instVarNamed: (self class allInstVarNames at: anIndex)',
    'isInteger ^ false', 'isFloat ^ false', 'isArray ^ false', 'codePoint ^ 0'],
  Array: [
    'isArray ^ true',
    'asByteArray ^ self',
    "utf8Decoded <inlineJS: 'return Buffer.from($self).toString()'>",
    "asString ^ self inject: '' into: [ :text :code | text , (Character codePoint: code) ]",
  ],
  'Array class': ['with: a with: b with: c ^ { a. b. c }', 'with: a with: b ^ { a. b }'],
  SequenceableCollection: [
    'indexOf: anObject ^ self indexOf: anObject ifAbsent: [ 0 ]',
    'removeFirst | first | first := self first. self removeIndex: 1. ^ first',
  ],
};

function addMissing(amber) {
  const { globals } = amber;
  for (const name of ['Character', 'TestCase', 'ReadStream', 'WriteStream', 'Mutex', 'Semaphore', 'Time']) {
    define(amber, { name, superclass: 'Object' });
  }
  define(amber, { name: 'LimitedWriteStream', superclass: 'Object', slots: ['text', 'limit', 'block'] });
  define(amber, { name: 'DynamicVariable', superclass: 'Object', classSlots: ['current'] });
  globals.OrderedDictionary = globals.Dictionary;
  globals.Float = globals.Number;
  globals.ByteArray = globals.Array;
  for (const [name, sources] of Object.entries(ADDED)) {
    const behavior = amber.findClass(name);
    for (const source of sources) compile(amber, behavior, source, 'added');
  }
  for (const source of TEST_CASE) compile(amber, globals.TestCase, source, 'testing');
}

/** What a test of SUnit may say. */
const TEST_CASE = [
  'setUp',
  'tearDown',
  "fail self error: 'failed'",
  "assert: aBoolean aBoolean == true ifFalse: [ self error: 'assertion failed' ]",
  "deny: aBoolean aBoolean == false ifFalse: [ self error: 'denial failed' ]",
  "assert: found equals: wanted found = wanted ifFalse: [ self error: found printString , ' is not ' , wanted printString ]",
  `should: aBlock raise: aClass
	[ aBlock value ] on: aClass do: [ :error | ^ self ].
	self error: 'nothing was raised'`,
];

function compile(amber, behavior, source, protocol) {
  try {
    amber.globals.Compiler._new()._install_forClass_protocol_(source, behavior, protocol);
  } catch (problem) {
    throw new Error(`${messageOf(problem)} in ${source}`);
  }
}

function evaluate(amber, source) {
  amber.globals.Compiler._new()._evaluateExpression_(source);
}

function define(amber, { name, superclass, slots = [], classSlots = [] }) {
  const list = (names) => `{${names.map((each) => `#${each}`).join('. ')}}`;
  evaluate(amber, `${superclass} subclass: #${name} slots: ${list(slots)} package: 'Stui'`);
  if (classSlots.length > 0) evaluate(amber, `${name} class slots: ${list(classSlots)}`);
}

function runTests(amber, { name, methods }) {
  const results = [];
  for (const { classSide, selector } of methods) {
    if (classSide || !selector.startsWith('test')) continue;
    const test = amber.globals[name]._new();
    let error = null;
    try {
      test._setUp();
      test[`_${selector}`]();
      test._tearDown();
    } catch (problem) {
      error = messageOf(problem);
    }
    results.push({ test: `${name}>>${selector}`, error });
  }
  return results;
}

function readAndWrite(amber, text) {
  const { StuiJsonReader, StuiJsonWriter, StuiJsonError } = amber.globals;
  try {
    return { written: StuiJsonWriter._write_(StuiJsonReader._read_(text)) };
  } catch (problem) {
    if (amber.isNil(problem) || amber.classOf(problem) !== StuiJsonError) throw problem;
    return { refused: messageOf(problem) };
  }
}

function load(amber, classes) {
  installCompatibility(amber);
  addMissing(amber);
  for (const each of classes) define(amber, each);
  for (const each of classes) {
    for (const { classSide, source, protocol } of each.methods) {
      const behavior = classSide ? amber.globals[each.name].a$cls : amber.globals[each.name];
      compile(amber, behavior, source, protocol);
    }
  }
}

function write(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function main() {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const { run, classes } = JSON.parse((await lines.next()).value);
  const amber = await startAmber();
  load(amber, classes);
  if (run === 'tests') {
    write(classes.filter((each) => each.superclass === 'TestCase').flatMap((each) => runTests(amber, each)));
  } else {
    for await (const line of lines) write(readAndWrite(amber, JSON.parse(line)));
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack || messageOf(error)}\n`, () => process.exit(1));
});
