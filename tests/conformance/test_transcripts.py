"""Does the transcript parser read what is well written, and say what is wrong with the rest?"""

import pytest

from stui_sessiond.testing.transcripts import (
    Expect,
    ExpectEnd,
    HangUp,
    Send,
    TranscriptError,
    parse_transcript,
)


def test_transcript_with_every_kind_of_step() -> None:
    """Comments before the first step say what it is about; names and line numbers are kept."""
    text = """# What it
# is about.

client>> {"id": "1"}
# not about
client<< {"id": "1",
  "result": [1,
\t2]}
image_2>> 7
client--
image_2<<-- replaced
>> null
<< "{{*}}"
"""
    transcript = parse_transcript("t", text)
    assert transcript.name == "t"
    assert transcript.about == "What it is about."
    assert transcript.steps == (
        Send(4, "client", {"id": "1"}),
        Expect(6, "client", {"id": "1", "result": [1, 2]}),
        Send(9, "image_2", 7),
        HangUp(10, "client"),
        ExpectEnd(11, "image_2", "replaced"),
        Send(12, "peer", None),
        Expect(13, "peer", "{{*}}"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: nothing is expected"),
        ("# only a comment", "line 1: nothing is expected"),
        (">> 1\n--", "line 1: nothing is expected"),
        (">> 1\n<< 1\n>> 2", "line 3: it ends early: nothing is expected after the last `>>`"),
        (">> 1\n<< 1\nb>> 2\n\n# so", "line 3: it ends early"),
        ("hello", "line 1: a step is NAME>> JSON"),
        (">> 1\nhello\n<< 1", "line 2: a step is NAME>> JSON"),
        ("Client>> 1\n<< 1", "line 1: a step is NAME>> JSON"),
        (">> {\n<< 1", "line 1: after `>>` comes JSON"),
        (">> 1\n<<", "line 2: after `<<` comes JSON"),
        (">> 1 2\n<< 1", "line 1: after `>>` comes JSON"),
        ("  1\n>> 1\n<< 1", "line 1: a line that begins with white space goes on with a step"),
        (">> 1\n<< 1\n-- now", "line 3: nothing follows `--`"),
        (">> 1\n<< 1\n<<--", "line 3: `<<--` names the reason"),
        ("a<< 1", "line 1: the connection 'a' begins with `>>`"),
        (">> 1\n<< 1\na--", "line 3: the connection 'a' begins with `>>`"),
        ("a>> 1\na--\na<< 1", "line 3: the connection 'a' has ended already"),
        (">> 1\n<< 1\n<<-- replaced\n>> 2\n<< 2", "line 4: the connection 'peer' has ended already"),
    ],
)
def test_transcript_that_is_none(text: str, told: str) -> None:
    """The name and the line come first, then what is wrong."""
    with pytest.raises(TranscriptError) as caught:
        parse_transcript("some/name", text)
    assert str(caught.value).startswith(f"some/name, {told}")
