"""What does somebody get who is turned away from the HTTP port? One line of text (pure)."""


def plain_answer(status: int, text: str) -> bytes:
    """Make an answer of one line of text, after which the connection is closed."""
    body = f"{text}\n".encode()
    phrase = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large", 429: "Too Many Requests"}
    phrase |= {431: "Request Header Fields Too Large", 503: "Service Unavailable"}
    wait = "Retry-After: 60\r\n" if status in {429, 503} else ""
    head = f"HTTP/1.1 {status} {phrase[status]}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{wait}"
    return head.encode() + b"Connection: close\r\n\r\n" + body
