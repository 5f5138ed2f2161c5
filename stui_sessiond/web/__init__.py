"""The HTTP side of the port that also carries the WebSocket. Each module of routes has a function `routes(parts)`."""
