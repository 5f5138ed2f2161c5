"""Does a daemon speak the protocol? The vectors and transcripts of `protocol/vectors/`, and a runner for them.

The runner shares nothing with the client library: it has to see the very bytes, and how a connection ends.
"""

from stui_sessiond.testing.link import UnreachableError
from stui_sessiond.testing.report import Report, Row, as_json, as_table
from stui_sessiond.testing.runner import TokenNeededError, run_conformance

__all__ = ["Report", "Row", "TokenNeededError", "UnreachableError", "as_json", "as_table", "run_conformance"]
