"""What code writes to the Transcript of the Amber image reaches its session."""

from __future__ import annotations

from tests.e2e.amber.bed import Image


def test_transcript_output_is_an_event_of_its_session(image: Image, session: str) -> None:
    """What code writes to Transcript arrives as one event before the answer, with session and tool."""
    code = "Transcript open; show: 'a'; cr; show: 3; tab; show: nil"
    request = image.start("evaluate", code=code, session_id=session, tool_id="t-1")
    event = image.link.next_event()
    assert event == {
        "event": "transcript",
        "session_id": session,
        "data": {"text": "a\n3\tnil", "tool_id": "t-1"},
    }
    assert image.link.answer_to(request)["result"]["has_error"] is False


def test_transcript_of_forked_code_keeps_its_session(image: Image, session: str) -> None:
    """A forked block writes for the session that forked it, and its error does not end the image."""
    image.value("[Transcript show: 'later'. nil foo] fork", session)
    written = ""
    while "nil does not understand #foo" not in written:
        event = image.link.next_event()
        assert event["session_id"] == session
        written += event["data"]["text"]
    assert written.startswith("later")
