"""An archive unpacked while it comes: what is read is of one version, or it is said to have changed."""

import pytest

from colab_kit.events import Control
from colab_kit.fetching.remote import Call, Source
from colab_kit.fetching.streaming import TAIL, Changed, RemoteZip
from colab_kit.system.http import Web

from ..support.fetching import a_zip


class Careless(Web):
    """A proxy that drops If-Range: the server answers with a part of another version."""

    def ask(self, url, *, headers=None, **how):
        return super().ask(
            url, headers={k: v for k, v in (headers or {}).items() if k != "If-Range"}, **how
        )


@pytest.fixture(params=[Web, Careless])
def remote(request, server):
    packed = a_zip({f"{n}.bin": bytes([n]) * 3000 for n in range(99)}, method=0)
    with request.param() as web:
        call = Call(web, lambda event: None, control=Control(), sleep=lambda seconds: None)
        yield RemoteZip(Source(server.put("p.zip", packed)), call, "p.zip"), packed


def test_a_range_is_what_the_file_has_there(remote):
    remote, packed = remote
    assert remote.size == len(packed) > TAIL
    assert remote.read(1000, 5000) == packed[1000:6000]
    assert remote.read(len(packed) - 10, 99) == packed[-10:]


def test_a_part_of_another_version_is_never_taken(remote, server):
    remote, packed = remote
    server.put("p.zip", packed[::-1])
    with pytest.raises(Changed):
        remote.read(0, 1000)


def test_a_server_without_ranges_is_said_to_give_none(server):
    server.put("p.zip", a_zip())
    server.ignores_ranges()
    with Web() as web, pytest.raises(Changed):
        RemoteZip(Source(server.url("p.zip")), Call(web, lambda event: None), "p.zip")
