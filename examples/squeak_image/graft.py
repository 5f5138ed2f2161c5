"""How does code get into an image that asks for nothing at its start? One method of it is replaced in the file.

A Squeak image file is a header followed by the memory of the objects (format 6502, 32 bits). `Scratch.image` sends
itself `readDocumentFile` at each start. A method that loads a file of Smalltalk source is added behind the last object,
and the dictionary of `SystemDictionary` is pointed to it. So the image is made without a screen, a mouse or a clock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER_WORDS = 16
FORMAT = 6502
BYTES, METHODS = 8, 12
"""From which format number on an object holds bytes, and from which it is a compiled method."""
SPECIAL_SMALLTALK, SPECIAL_STRING, SPECIAL_COMPACT = 8, 6, 28
"""Places among the special objects: the association or dictionary `Smalltalk`, class String, the compact classes."""
LONGEST_SHORT_OBJECT = 0xFC
LONG, WITH_CLASS, FREE, COMPACT = range(4)
"""What comes before an object: words for its size and its class, for its class, (a free chunk), none."""


class ImageFormatError(Exception):
    """The file is not the image that this code knows."""


class ImageFile:
    """The objects in an image file. An object is named by its address, as in the file."""

    def __init__(self, data: bytes) -> None:
        self.header: list[int] = list(struct.unpack_from(f"<{HEADER_WORDS}I", data))
        version, start, size = self.header[:3]
        self.base, self.special = self.header[3:5]
        if version != FORMAT:
            problem = f"an image of format {version}, not {FORMAT}"
            raise ImageFormatError(problem)
        self.words: list[int] = list(struct.unpack_from(f"<{size // 4}I", data, start))
        self.classes: dict[int, int] = {}
        self.sizes: dict[int, int] = {}
        for address, class_, words in self._objects():
            self.classes[address] = class_
            self.sizes[address] = words
        self.specials = self.fields(self.special)
        self.compact = self.fields(self.specials[SPECIAL_COMPACT])

    def _objects(self) -> Iterator[tuple[int, int, int]]:
        """Address, class (0: a compact one) and number of words after the header, of each object in turn."""
        at = 0
        while at < len(self.words):
            kind = self.words[at] & 3
            if kind == FREE:
                problem = "there is a free chunk in the image"
                raise ImageFormatError(problem)
            first = at + {LONG: 2, WITH_CLASS: 1, COMPACT: 0}[kind]
            size = self.words[at] & ~3 if kind == LONG else self.words[first] & LONGEST_SHORT_OBJECT
            class_ = 0 if kind == COMPACT else self.words[first - 1] & ~3
            yield self.base + first * 4, class_, size // 4 - 1
            at = first + size // 4

    def word(self, address: int) -> int:
        """The number of the word at an address."""
        return (address - self.base) // 4

    def fields(self, address: int) -> list[int]:
        """All words of an object."""
        first = self.word(address) + 1
        return self.words[first : first + self.sizes[address]]

    def class_of(self, address: int) -> int:
        """The address of the class."""
        compact = (self.words[self.word(address)] >> 12) & 31
        return self.compact[compact - 1] if compact else self.classes[address]

    def text(self, address: int) -> bytes:
        """What a String or Symbol holds; nothing for other objects."""
        if address & 1 or address not in self.sizes:
            return b""
        kind = (self.words[self.word(address)] >> 8) & 15
        if not BYTES <= kind < METHODS:
            return b""
        data = struct.pack(f"<{self.sizes[address]}I", *self.fields(address))
        return data[: len(data) - (kind & 3)]

    def symbol(self, text: bytes) -> int:
        """The symbol with that text."""
        symbol_class = self.class_of(self.fields(self.global_association(b"Object"))[0])
        for address in self.sizes:
            if self.class_of(address) == symbol_class and self.text(address) == text:
                return address
        problem = f"there is no symbol {text!r}"
        raise ImageFormatError(problem)

    def global_association(self, name: bytes) -> int:
        """The association of a global variable."""
        _, entries = self.fields(self.specials[SPECIAL_SMALLTALK])[:2]
        for association in self.fields(entries):
            if association != self.specials[0] and self.text(self.fields(association)[0]) == name:
                return association
        problem = f"there is no global variable {name!r}"
        raise ImageFormatError(problem)

    def method_place(self, class_name: bytes, selector: bytes) -> int:
        """The number of the word that points to a method."""
        behavior = self.fields(self.global_association(class_name))[1]
        dictionary = self.fields(behavior)[1]
        _, methods, *keys = self.fields(dictionary)
        for index, key in enumerate(keys):
            if self.text(key) == selector:
                return self.word(methods) + 1 + index
        problem = f"{class_name!r} has no method {selector!r}"
        raise ImageFormatError(problem)

    def append(self, kind: int, compact_class: int, body: list[int], unused: int) -> int:
        """Adds a short object with a class that needs no word; `unused` bytes at its end are none of its own."""
        address = self.base + len(self.words) * 4
        size = 4 + 4 * len(body)
        if size > LONGEST_SHORT_OBJECT:
            problem = "the object is too long"
            raise ImageFormatError(problem)
        # An object without a hash gets one when it is asked for it.
        self.words.append((kind | unused) << 8 | compact_class << 12 | size | 3)
        self.words.extend(body)
        self.sizes[address] = len(body)
        return address

    def to_bytes(self) -> bytes:
        """The file."""
        self.header[2] = len(self.words) * 4
        start = self.header[1]
        head = struct.pack(f"<{HEADER_WORDS}I", *self.header).ljust(start, b"\0")
        return head + struct.pack(f"<{len(self.words)}I", *self.words)


def as_words(data: bytes) -> tuple[list[int], int]:
    """Bytes as words, and how many of the last word are not theirs."""
    unused = -len(data) % 4
    padded = data + b"\0" * unused
    return list(struct.unpack(f"<{len(padded) // 4}I", padded)), unused


def make_it_load(image: bytes, source_name: str) -> bytes:
    """The image, changed so that at its start it loads that file of Smalltalk source, which lies beside it."""
    file = ImageFile(image)
    place = file.method_place(b"SystemDictionary", b"readDocumentFile")
    name_words, unused = as_words(source_name.encode())
    name = file.append(BYTES, file.compact.index(file.specials[SPECIAL_STRING]) + 1, name_words, unused)
    literals = [
        file.global_association(b"FileStream"),
        name,
        file.symbol(b"oldFileNamed:"),
        file.symbol(b"fileIn"),
    ]
    # push literal variable 0, push literal 1, send literal 2 with an argument, send literal 3, pop, return self;
    # then four bytes that say that there is no source.
    code, unused = as_words(bytes([0x40, 0x21, 0xE2, 0xD3, 0x87, 0x78, 0, 0, 0, 0]))
    method_header = len(literals) << 9 | 1 << 17
    compact_class = (file.words[file.word(file.words[place])] >> 12) & 31
    method = file.append(METHODS, compact_class, [method_header << 1 | 1, *literals, *code], unused)
    file.words[place] = method
    return file.to_bytes()
