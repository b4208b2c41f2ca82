"""What an answer holds: its Content-Range decides, and nothing that is not what was asked for is taken."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colab_kit.fetching.remote import Stretch, same, size_of_416, stretch_of, version_of
from colab_kit.system.http import Reply
from tests.support import examples


def answer(headers, status=200, packed=False):
    """A reply with nothing but its status and headers."""
    headers = headers | ({"Content-Encoding": "gzip"} if packed else {})
    return Reply(SimpleNamespace(status_code=status, headers=headers), "http://x")


def held(status, headers, start, end=None, packed=False):
    return stretch_of(answer(headers, status, packed), start, end)


@pytest.mark.parametrize(
    ("status", "headers", "start", "stretch"),
    [
        (
            206,
            {"Content-Range": "bytes 0-99/100", "ETag": '"a"'},
            0,
            Stretch(0, 100, 100, '"a"', True),
        ),
        (206, {"Content-Range": "bytes 40-99/100"}, 40, Stretch(40, 100, 100, "", True)),
        (
            206,
            {"Content-Range": "bytes 40-59/100"},
            40,
            Stretch(40, 60, 100, "", True),
        ),  # fewer than were asked for: they are right
        (
            200,
            {"Content-Range": "bytes 40-99/100"},
            40,
            Stretch(40, 100, 100, "", True),
        ),  # 200 with a right range
        (
            200,
            {"Content-Length": "100", "Last-Modified": "Mon"},
            40,
            Stretch(0, 100, 100, "Mon", False),
        ),
        (200, {}, 0, Stretch(0, None, None, "", False)),
        (
            200,
            {"Content-Length": "100", "Transfer-Encoding": "chunked"},
            0,
            Stretch(0, None, None, "", False),
        ),  # the chunks count
        (206, {}, 40, None),
        (206, {"Content-Range": "bytes 0-99/100"}, 40, None),
        (206, {"Content-Range": "bytes 41-99/100"}, 40, None),
        (206, {"Content-Range": "bytes 40-100/100"}, 40, None),  # past its own end
        (206, {"Content-Range": "bytes 40-39/100"}, 40, None),
        (206, {"Content-Range": "bytes 40-99/*"}, 40, None),
        (206, {"Content-Range": "multipart/byteranges"}, 40, None),
        (200, {"Content-Range": "bytes 0-9/100", "Content-Length": "10"}, 40, None),
        (416, {"Content-Range": "bytes */100"}, 40, None),
        (404, {"Content-Length": "9"}, 0, None),
    ],
)
def test_an_answer_is_what_its_content_range_says(status, headers, start, stretch):
    assert held(status, headers, start) == stretch


def test_a_range_may_not_reach_past_what_was_asked_for():
    assert held(206, {"Content-Range": "bytes 10-19/100"}, 10, 20) is not None
    assert held(206, {"Content-Range": "bytes 10-20/100"}, 10, 20) is None


def test_a_packed_answer_counts_other_bytes():
    assert held(206, {"Content-Range": "bytes 40-99/100"}, 40, packed=True) is None
    assert held(200, {"Content-Length": "50"}, 0, packed=True) == Stretch(0, None, None, "", False)


def test_a_strong_etag_names_a_version_and_a_weak_one_does_not():
    assert version_of(answer({"ETag": '"x"', "Last-Modified": "Mon"})) == '"x"'
    assert version_of(answer({"ETag": 'W/"x"', "Last-Modified": "Mon"})) == "Mon"
    assert version_of(answer({"ETag": "x"})) == "" == version_of(answer({}))
    assert same('"x"', "") and same("", '"x"') and same('"x"', '"x"') and not same('"x"', '"y"')


def test_the_size_of_a_file_without_that_range():
    assert (
        size_of_416(answer({"Content-Range": "bytes */12"})) == 12
        and size_of_416(answer({"Content-Range": "bytes 0-1/12"})) is None
    )


FIGURES = st.integers(0, 2**70).map(str)
SAID = st.one_of(
    st.text(max_size=40),
    st.builds("bytes {}-{}/{}".format, FIGURES, FIGURES, st.one_of(FIGURES, st.just("*"))),
    st.builds(
        "bytes {}-{}/{}".format, *[st.sampled_from(["0", "5", "9", "10", "-1", "٣", "1e3", ""])] * 3
    ),
)


@settings(max_examples=examples(400), deadline=None, derandomize=True)
@given(
    st.integers(100, 599),
    SAID,
    st.text(max_size=20),
    st.integers(0, 20),
    st.one_of(st.none(), st.integers(0, 30)),
    st.booleans(),
)
def test_no_header_makes_it_fail_or_take_what_was_not_asked_for(
    status, said, length, start, end, packed
):
    stretch = held(
        status, {"Content-Range": said, "Content-Length": length}, start, end, packed=packed
    )
    if stretch is not None:
        assert status in (200, 206) and stretch.start in (0, start)
        if stretch.ranges:
            assert stretch.start == start < stretch.stop <= stretch.total and (
                end is None or stretch.stop <= end
            )
