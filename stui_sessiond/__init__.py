"""stui_sessiond: the session daemon between live Smalltalk images and their clients."""

__version__ = "0.6.0"
