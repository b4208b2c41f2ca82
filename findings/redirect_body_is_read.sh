#!/usr/bin/env bash
# What: requests.get(url, allow_redirects=False, stream=True) of an address that redirects: to look where a link leads, and read nothing.
# Versions: requests 2.34.2, urllib3 2.7.0, Python 3.11.
# Expected: stream=True gives the answer as soon as its headers are here; the body waits until somebody reads it.
# Seen: of a redirect the whole body is read before the call returns, and thrown away: 60 MB here, all that the server has to send,
#       as long as it sends. The same body of an answer that is no redirect is not touched. Nothing tells the two calls apart.
# What to do: a Session whose resolve_redirects() gives nothing, or urllib3 itself with redirect=False and preload_content=False.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q requests==2.34.2 urllib3==2.7.0
cd "$work"
venv/bin/python - <<'PYTHON'
import socket
import sys
import threading

import requests
import urllib3

print("requests", requests.__version__, "urllib3", urllib3.__version__)
BODY, PIECE = 60 << 20, 1 << 20
sent = {}


def answer(link, head):
    with link:
        name = link.recv(65536).split()[1].decode()
        link.sendall(head)
        sent[name] = 0
        try:
            while sent[name] < BODY:
                link.sendall(bytes(PIECE))
                sent[name] += PIECE
        except OSError:
            pass  # the client hung up


def asked(status, name):
    listener = socket.create_server(("127.0.0.1", 0))
    head = f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: {BODY}\r\nConnection: close\r\n\r\n"
    server = threading.Thread(target=lambda: answer(listener.accept()[0], head.encode()))
    server.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}{name}"
    reply = requests.get(url, allow_redirects=False, stream=True, timeout=60)
    before = sent[name]
    reply.close()
    server.join()
    listener.close()
    return reply.status_code, before


plain, of_plain = asked("200 OK", "/plain")
moved, of_moved = asked("302 Found", "/moved")
print(f"{plain}: the server had sent {of_plain >> 20} of {BODY >> 20} MB when the call returned")
print(f"{moved}: the server had sent {of_moved >> 20} of {BODY >> 20} MB when the call returned")
sys.exit(0 if of_plain < BODY // 2 and of_moved == BODY else "What was seen has changed")
PYTHON
echo "still so"
