"""What objects and processes of an image are called beyond it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.errors import ImageError, ParameterError, StaleHandleError
from stui_sessiond.images.reference import refer, resolve
from stui_sessiond.wire.messages.connection import ImageIdentity

IDENTITY = ImageIdentity("pharo", "i-1", generation=3)
OWN = st.text("abcxyzABCXYZ0189-_", min_size=1, max_size=64)
IDENTITIES = st.builds(
    ImageIdentity,
    st.sampled_from(["pharo", "squeak", "pharo.1"]),
    st.sampled_from(["i-1", "i-2", "1.i-1"]),
    generation=st.integers(0, 2**63 - 1),
)


@given(OWN, IDENTITIES, IDENTITIES)
def test_name_means_one_object_of_one_instance(own: str, kept: ImageIdentity, present: ImageIdentity) -> None:
    """Where it was given it leads to what the image called so; anywhere else it is stale."""
    name = refer(kept, own)
    assert resolve(kept, name, "handle") == own
    same = (kept.image_id, kept.instance_id, kept.generation) == (
        present.image_id,
        present.instance_id,
        present.generation,
    )
    if not same:
        with pytest.raises(StaleHandleError) as caught:
            resolve(present, name, "handle")
        assert caught.value.details == {"image_id": present.image_id}


@pytest.mark.parametrize("own", ["", "a b", "a.b", "ä", "x" * 65, "a\n"])
def test_name_that_an_image_must_not_pick(own: str) -> None:
    """It is refused, so that what clients get is always a name."""
    with pytest.raises(ImageError) as caught:
        refer(IDENTITY, own)
    assert caught.value.details == {"image_id": "pharo"}


@given(st.text(max_size=100))
def test_text_that_is_no_name(text: str) -> None:
    """Whatever a client sends is refused, or a name; never something that the image was not asked about before."""
    try:
        own = resolve(IDENTITY, text, "debugger_id")
    except ParameterError as error:
        told = dict(error.details)
        assert told == {"field": "debugger_id"}
    except StaleHandleError:
        pass
    else:
        assert refer(IDENTITY, own) == text
