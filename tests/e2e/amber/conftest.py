"""The images that the tests of the Amber example image use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.e2e.amber.bed import Image


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """An image that the tests of this module share."""
    started = Image.over_tcp("--image-id", "amber-test", "--name", "Amber under test")
    try:
        started.accept()
        started.welcome()
        yield started
    finally:
        started.stop()


@pytest.fixture
def own_image() -> Iterator[Image]:
    """An image of the test's own, which has said hello and waits for the answer."""
    started = Image.over_tcp()
    try:
        started.accept()
        yield started
    finally:
        started.stop()


@pytest.fixture
def session() -> str:
    """The id of a session nobody else uses."""
    return f"session_{uuid.uuid4().hex}"
