"""A rank's standard output and error: whole lines travel to the launcher, which prints them with the rank's number."""

from __future__ import annotations

import codecs
import io
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Tagged(io.TextIOBase):
    """What a rank prints, line by line.

    Args:
        connection: to the nursery.
        lock: held while something is sent on it.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, connection: Connection, lock: threading.Lock) -> None:
        self._connection, self._lock = connection, lock
        self._line = ""
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Keep the last, unfinished line back until it ends or is flushed."""
        whole, newline, self._line = (self._line + text).rpartition("\n")
        if newline:
            self._send(whole)
        return len(text)

    def flush(self) -> None:
        """Nothing: an unfinished line is sent by `finish`, or lines of ranks would be torn apart."""

    def finish(self) -> None:
        """Send what no newline has ended."""
        if self._line:
            self._send(self._line)
            self._line = ""

    def _send(self, text: str) -> None:
        lines = "\n".join(_last_overwritten(line) for line in text.split("\n"))
        with self._lock:
            self._connection.send(("output", lines))


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`: bytes become text, a character whose bytes come in two pieces included."""

    def __init__(self, text: Tagged) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Decode and pass on."""
        self._text.write(self._decoder.decode(bytes(data)))
        return len(bytes(data))


def _last_overwritten(line: str) -> str:
    """What a terminal shows of a line in the end: a progress bar goes back to its start and writes over it."""
    return line.rstrip("\r").rpartition("\r")[2]
