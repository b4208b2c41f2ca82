"""Clicks in a busy cell: clicks are handled at once, all else keeps its order, and a kernel that cannot is left alone."""

import json
from collections import deque
from types import SimpleNamespace

from colab_kit.panels.worker import can_hear, clicks


class Queue(deque):
    def empty(self):
        return not self

    def get_nowait(self):
        return self.popleft()

    def put_nowait(self, item):
        self.append(item)


class Kernel:
    def __init__(self):
        self.msg_queue, self.coming, self.handled, self.sent = Queue(), [], [], []
        self.shell_stream = SimpleNamespace(flush=self._flush)
        self.shell_handlers = {
            "comm_msg": lambda stream, idents, message: self.handled.append(message["n"])
        }
        self.iopub_socket, self.log = (
            object(),
            SimpleNamespace(error=lambda *a, **k: self.sent.append("logged")),
        )
        self.session = SimpleNamespace(
            feed_identities=lambda frames, copy: ([], frames),
            deserialize=self._read,
            send=self._send,
        )

    def _flush(self):
        self.msg_queue.extend(self.coming)
        self.coming.clear()

    def _read(self, frames, content, copy):
        return {
            "msg_type": json.loads(frames[3].bytes)["msg_type"],
            "n": json.loads(frames[3].bytes)["n"],
        }

    def _send(self, socket, kind, content, parent, ident):
        self.sent.append(content["execution_state"])

    def _topic(self, name):
        return name.encode()


def message(kind, n):
    header = json.dumps({"msg_type": kind, "n": n}).encode()
    return (
        n,
        None,
        (
            [
                SimpleNamespace(bytes=part)
                for part in (b"id", b"<IDS|MSG>", b"signature", header, b"{}")
            ],
        ),
    )


def test_clicks_are_handled_and_the_rest_is_put_back_in_its_order():
    kernel = Kernel()
    with clicks(kernel) as hear:
        kernel.coming += [
            message("execute_request", 1),
            message("comm_msg", 2),
            message("execute_request", 3),
        ]
        hear()
        assert kernel.handled == [2] and kernel.sent == ["idle"], (
            "the browser hears that it was taken"
        )
        kernel.coming += [message("comm_msg", 4)]
        hear()
        kernel.msg_queue.append(message("execute_request", 5))
    assert kernel.handled == [2, 4] and [item[0] for item in kernel.msg_queue] == [1, 3, 5]


def test_a_handler_that_fails_is_logged_and_the_cell_goes_on():
    kernel = Kernel()
    kernel.shell_handlers["comm_msg"] = lambda *args: 1 / 0
    with clicks(kernel) as hear:
        kernel.coming.append(message("comm_msg", 1))
        hear()
    assert kernel.sent == ["logged", "idle"]


def test_without_a_kernel_of_that_kind_it_does_nothing():
    assert not can_hear(SimpleNamespace()) and can_hear(Kernel())
    with clicks(SimpleNamespace()) as hear:
        hear()


def test_what_is_no_message_is_held_back_too():
    kernel = Kernel()
    with clicks(kernel) as hear:
        kernel.coming += [(1, None, ()), (2, None, ("abort",))]
        hear()
    assert [item[0] for item in kernel.msg_queue] == [1, 2]
