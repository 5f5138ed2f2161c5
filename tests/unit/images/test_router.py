"""Which image a request is for, as a table."""

import pytest

from stui_sessiond.errors import ImageUnavailableError, ParameterError, StuiError
from stui_sessiond.ids import ImageId
from stui_sessiond.images.router import choose

A, B = ImageId("a"), ImageId("b")


@pytest.mark.parametrize(
    ("of_session", "asked", "connected", "chosen"),
    [
        (None, None, [A], A),
        (A, None, [A, B], A),
        (None, A, [A, B], A),
        (A, A, [A, B], A),
    ],
)
def test_request_that_finds_its_image(
    of_session: ImageId | None, asked: ImageId | None, connected: list[ImageId], chosen: ImageId
) -> None:
    """The session's image, or the one named, or the only one there is."""
    assert choose(of_session, asked, connected) == chosen


@pytest.mark.parametrize(
    ("of_session", "asked", "connected", "kind", "details"),
    [
        (None, None, [], ImageUnavailableError, {"connected": []}),
        (None, None, [B, A], ImageUnavailableError, {"connected": [A, B]}),
        (A, None, [B], ImageUnavailableError, {"image_id": A, "connected": [B]}),
        (A, None, [], ImageUnavailableError, {"image_id": A, "connected": []}),
        (None, A, [B], ImageUnavailableError, {"image_id": A, "connected": [B]}),
        (A, B, [A, B], ParameterError, {"field": "image_id", "image_id": A}),
    ],
)
def test_request_that_finds_none(
    of_session: ImageId | None,
    asked: ImageId | None,
    connected: list[ImageId],
    kind: type[StuiError],
    details: dict[str, object],
) -> None:
    """Nothing is guessed; the error says what there is to choose from."""
    with pytest.raises(kind) as caught:
        choose(of_session, asked, connected)
    assert caught.value.details == details
