"""`make serve` shows the book or says why not. Oracle: a client's request, and a port that this test holds."""

import socket
import threading
import urllib.request
from pathlib import Path

import pytest

from book.kit import serve


@pytest.fixture
def html(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("the book")
    return tmp_path


def test_it_serves_the_book_on_loopback_only(html: Path) -> None:
    httpd = serve.server(html, 0)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        host, port = httpd.server_address[:2]
        assert host == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            assert answer.read() == b"the book"
    finally:
        httpd.shutdown()
        httpd.server_close()


def test_without_a_book_it_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(serve.ServeError, match="run `make book` first"):
        serve.server(tmp_path, 0)


def test_a_taken_port_is_named_with_a_way_out(html: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(serve.ServeError, match=rf"port {port} is taken.*--port"):
            serve.server(html, port)


def test_the_command_fails_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["serve", "--html", str(tmp_path)])
    assert serve.main() == 1
    assert capsys.readouterr().err.count("\n") == 1
