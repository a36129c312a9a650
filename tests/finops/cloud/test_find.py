"""A practice account that is gone is not found, whoever has its port now. Oracle: a server of another protocol."""

import json
import socketserver
import threading

import pytest

from course_lib.finops.cloud import find


class Greeter(socketserver.BaseRequestHandler):
    """Says what is no HTTP, as a mail server would."""

    def handle(self):
        self.request.recv(4096)
        self.request.sendall(self.server.words)


@pytest.mark.parametrize("words", [b"220 ready\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
def test_another_server_at_the_address_is_no_account(tmp_path, words):
    with socketserver.TCPServer(("127.0.0.1", 0), Greeter) as server:
        server.words = words
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        (tmp_path / "account.json").write_text(json.dumps({"url": url, "pid": 1, "folder": str(tmp_path)}))
        try:
            assert find(tmp_path) is None
        finally:
            server.shutdown()
