"""Which method does a source define? Its selector, from the pattern it begins with. Pure."""

from stui_sessiond.tui.smalltalk.lexer import Kind, lex


def selector_of(source: str) -> str | None:
    """Give the selector of a method's source; None when it does not begin with a pattern."""
    tokens = [one for one in lex(source) if one.kind is not Kind.COMMENT]
    if not tokens:
        return None
    first = tokens[0]
    if first.kind is Kind.BINARY and len(tokens) > 1:
        return source[first.start : first.end]
    if first.kind in {Kind.NAME, Kind.GLOBAL}:
        return source[first.start : first.end]
    parts: list[str] = []
    at = 0
    while at + 1 < len(tokens) and tokens[at].kind is Kind.KEYWORD and tokens[at + 1].kind in {Kind.NAME, Kind.GLOBAL}:
        parts.append(source[tokens[at].start : tokens[at].end])
        at += 2
    return "".join(parts) or None
