"""How is text that others made up shown to a person? With nothing in it that a terminal or a log reader obeys.

Line breaks would forge lines, escape sequences move the cursor, bidi controls and invisible characters make text look
like other text. What Python calls not printable (Cc, Cf, Cs, Co, Cn, Zl, Zp, spaces but the plain one) is escaped.
"""


def printable(text: str, limit: int | None = None) -> str:
    r"""Write what is not printable as `\xNN`, `\uNNNN` or `\UNNNNNNNN`; cut to `limit` characters of `text`."""
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}..."
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines: all but the first are indented, so that none passes for a new entry."""
    return "\n    ".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))


def _escaped(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:  # noqa: PLR2004 -- the last of two digits
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004 -- the last of four
