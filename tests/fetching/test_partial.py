"""The part file: what has come is known after a kill, stretches are dealt out once, and a seized claim writes nothing."""

import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colab_kit.errors import FetchError, Stopped
from colab_kit.fetching import partial
from colab_kit.fetching.partial import LEAST, Part
from colab_kit.system.sealed import sealed
from tests.support import examples

BODY = os.urandom(300_000)


@pytest.fixture
def part(tmp_path):
    part = Part(tmp_path / "x.bin", "http://x/x.bin")
    part.begin('"v1"', len(BODY))
    yield part
    part.close()


def brought(part, claim, size):
    part.write(claim, BODY[claim.at : claim.at + size])
    return claim


def test_what_has_come_is_taken_up_again_with_its_version(part, tmp_path):
    part.release(brought(part, part.claim(), 1000))
    part.save()
    part.close()  # as a kill does
    again = Part(tmp_path / "x.bin", "http://x/x.bin")
    assert again.restore() and (again.done, again.version, again.total, again.gap) == (
        [(0, 1000)],
        '"v1"',
        len(BODY),
        1000,
    )
    again.open()
    again.release(brought(again, again.claim(), len(BODY)))
    again.hash_on()
    assert again.whole and again.digests["sha256"].hexdigest() == hashlib.sha256(BODY).hexdigest()
    assert again.finish().read_bytes() == BODY and [path.name for path in tmp_path.iterdir()] == [
        "x.bin"
    ]


def test_bytes_of_a_claim_that_is_still_open_are_noted_too(part, tmp_path):
    brought(part, part.claim(), 500)
    part.save()
    assert Part(tmp_path / "x.bin", "http://x/x.bin").restore()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said.update(of="http://x/other"),
        lambda said: said.update(boot="another start"),
        lambda said: said.update(total=10),
        lambda said: said.update(done=[[5, 3]]),
        lambda said: said.update(done=[[0, 10**9]]),
        lambda said: said.update(done=[[0, 10], [5, 20]]),
        lambda said: said.update(done="much"),
        lambda said: said.pop("version"),
        lambda said: said.update(version=None),
    ],
)
def test_a_doubtful_note_counts_for_nothing(part, tmp_path, spoil):
    part.release(brought(part, part.claim(), 1000))
    part.save()
    said = json.loads(part.side.read_text())
    del said["seal"]
    spoil(said)
    of = said.pop("of")
    part.side.write_text(json.dumps(sealed(of, said)))
    assert not Part(tmp_path / "x.bin", "http://x/x.bin").restore()


def test_a_note_with_a_changed_digit_counts_for_nothing(part, tmp_path):
    part.release(brought(part, part.claim(), 1000))
    part.save()
    text = part.side.read_text()
    assert "1000" in text
    part.side.write_text(text.replace("1000", "2000"))
    assert not Part(tmp_path / "x.bin", "http://x/x.bin").restore()


def test_nothing_is_written_where_a_link_in_the_place_of_a_part_leads(part, tmp_path):
    part.drop()
    part.path.symlink_to(tmp_path / "target")
    with pytest.raises(FetchError, match="could not be written"):
        part.begin('"v1"', 100)
    assert not (tmp_path / "target").exists()


def test_a_part_that_was_cut_or_has_no_note_counts_for_nothing(part, tmp_path):
    part.release(brought(part, part.claim(), 1000))
    part.save()
    os.truncate(part.path, 999)
    assert not Part(tmp_path / "x.bin", "http://x/x.bin").restore()
    part.side.unlink()
    assert not Part(tmp_path / "x.bin", "http://x/x.bin").restore()


def test_after_a_clean_stop_it_holds_on_another_start_of_the_machine_too(
    part, tmp_path, monkeypatch
):
    part.release(brought(part, part.claim(), 1000))
    part.leave()
    monkeypatch.setattr(partial, "boot", lambda: "tomorrow")
    assert Part(tmp_path / "x.bin", "http://x/x.bin").restore()


def test_what_nobody_can_go_on_from_is_thrown_away(part, tmp_path):
    part.leave()
    assert list(tmp_path.iterdir()) == []


def test_a_seized_claim_writes_nothing_more(part):
    claim = brought(part, part.claim(), 100)
    part.seize()
    with pytest.raises(Stopped):
        part.write(claim, b"late")
    assert part.done == [(0, 100)] and part.read(0, 200)[100:104] == bytes(4)


def test_claims_get_smaller_towards_the_end_and_cover_the_file_once(tmp_path):
    part = Part(tmp_path / "x", "x")
    part.begin('"v"', 100 * LEAST)
    claims = []
    while (claim := part.claim(8)) is not None:
        claims.append(claim)
        claim.at = claim.end  # as if brought
    ends = [(claim.start, claim.end) for claim in claims]
    assert (
        ends[0][0] == 0
        and ends[-1][1] == 100 * LEAST
        and all(a[1] == b[0] for a, b in zip(ends, ends[1:], strict=False))
    )
    assert ends[0][1] > 4 * LEAST >= ends[-1][1] - ends[-1][0]
    part.close()


def test_a_file_of_unknown_size_is_one_claim_until_it_ends(tmp_path):
    part = Part(tmp_path / "x", "x")
    part.begin("", None)
    claim = part.claim()
    assert part.claim() is None and not part.whole
    part.write(claim, b"abc")
    part.end(claim)
    part.release(claim)
    assert part.whole and part.total == 3
    part.close()


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 90_000), st.booleans()), max_size=40))
def test_whatever_the_order_the_bytes_and_the_hash_are_the_files(tmp_path_factory, moves):
    part = Part(tmp_path_factory.mktemp("p") / "x", "x", hashes=("md5",))
    part.begin('"v"', len(BODY))
    held = []
    for which, size, gives_up in moves:
        if (claim := part.claim(3)) is not None:
            claim.end = min(claim.end, claim.start + 50_000)
            held.append(claim)
        if held:
            claim = held[which % len(held)]
            part.write(claim, BODY[claim.at : min(claim.end, claim.at + size)])
            if gives_up or claim.at == claim.end:
                held.remove(claim)
                part.release(claim)
        part.hash_on(20_000)
    for claim in held:
        part.release(claim)
    while (claim := part.claim()) is not None:
        part.write(claim, BODY[claim.at : claim.end])
        part.release(claim)
    part.hash_on()
    assert part.whole and {kind: d.hexdigest() for kind, d in part.digests.items()} == {
        kind: hashlib.new(kind, BODY).hexdigest() for kind in ("md5", "sha256")
    }
    part.drop()


def test_who_reads_a_part_that_is_thrown_away_is_told_before_its_file_is_closed(part, monkeypatch):
    restarts, seen = part.restarts, []
    close = Part.close
    monkeypatch.setattr(Part, "close", lambda self: (seen.append(self.restarts), close(self)))
    part.drop()
    assert seen == [restarts + 1]
