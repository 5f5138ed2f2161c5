"""Does an image keep its word? The cases of `protocol/vectors/images/`, and a runner that plays them through a daemon.

A client is all it takes: what images answer is seen through the daemon they are connected to, as clients see it.
"""

from stui_sessiond.testing.images.report import ImageReport, ImageRow, as_json, as_table
from stui_sessiond.testing.images.run import UnknownImageError, run_image_conformance

__all__ = ["ImageReport", "ImageRow", "UnknownImageError", "as_json", "as_table", "run_image_conformance"]
