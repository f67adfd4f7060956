"""The log's lines: one an event, whatever a caller has named something."""

import io

import msgspec
import pytest

from waypost.telemetry.log import Log

FORGED = "a\n2026-01-01T00:00:00.000Z stopped cut=0\r\x1b[2J\u2028é"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_name_with_line_breaks_stays_on_its_events_line(as_json: bool) -> None:
    stream = io.StringIO()
    Log(stream, as_json=as_json)("task_misfit", task=FORGED, route="fast")
    line, end = stream.getvalue().split("\n")
    assert end == ""
    if as_json:
        assert msgspec.json.decode(line)["task"] == FORGED
    else:
        assert line.endswith(r"task_misfit task=a\n2026-01-01T00:00:00.000Z stopped cut=0\r\x1b[2J\u2028é route=fast")


def test_a_log_that_can_not_be_written_fails_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    Log(stream)("draining", in_flight=0)
