'use strict';
// compatibility.js answers: which messages that Pharo users type does Amber lack or get wrong?
//
// They are ordinary extension methods in the package Stui-Compatibility, visible to every browser.

const PACKAGE = 'Stui-Compatibility';

const BEHAVIOR_METHODS = [
  `compile: aString
	^ self compile: aString protocol: 'as yet unclassified'`,
  `compile: aString classified: aProtocol
	^ self compile: aString protocol: aProtocol`,
];

const CLASS_METHODS = [
  `subclass: aName instanceVariableNames: slotNames classVariableNames: classVariables package: aPackage
	"Amber has no class variables: give the class side slots instead."
	classVariables ifNotEmpty: [ self error: 'Amber has no class variables, use slots on the class side' ].
	^ self subclass: aName instanceVariableNames: slotNames package: aPackage`,
  `subclass: aName instanceVariableNames: slotNames classVariableNames: classVariables category: aPackage
	^ self subclass: aName instanceVariableNames: slotNames classVariableNames: classVariables package: aPackage`,
];

const TRANSCRIPT_METHODS = [
  'lf\n\tself show: String lf',
  'tab\n\tself show: String tab',
  'space\n\tself show: String space',
  'nextPutAll: aString\n\tself show: aString',
  'print: anObject\n\tself show: anObject printString',
  'crShow: aString\n\tself cr; show: aString',
  'showCr: aString\n\tself show: aString; cr',
  'flush',
  'endEntry',
];

// Amber's own version fails when the source ends too early.
const COMPILER_METHODS = [
  `parseError: anException parsing: aString
	| start found |
	start := (anException basicAt: 'location') start.
	found := (anException basicAt: 'found')
		ifNil: [ 'Unexpected end' ]
		ifNotNil: [ :text | 'Unexpected character ', text ].
	^ ParseError messageText:
		'Parse error on line ', start line asString, ' column ', start column asString, ' : ', found`,
];

function install(amber, behavior, sources) {
  for (const source of sources) {
    amber.globals.Compiler._new()._install_forClass_protocol_(source, behavior, `*${PACKAGE}`);
  }
}

function installCompatibility(amber) {
  const { globals } = amber;
  globals.Package._named_(PACKAGE);
  install(amber, globals.Behavior, BEHAVIOR_METHODS);
  install(amber, globals.Class, CLASS_METHODS);
  install(amber, globals.Compiler, COMPILER_METHODS);
  install(amber, globals.Transcript.a$cls, TRANSCRIPT_METHODS);
}

module.exports = { installCompatibility };
