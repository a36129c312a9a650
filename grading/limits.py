"""What one learner's kernel may use. One frozen record is passed down to the sandbox, the watchdog and the executor."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

MIB = 1024 * 1024


class LimitError(ValueError):
    """A limit has a value that no kernel could run under."""


@dataclass(frozen=True)
class Limits:
    """Ceilings for one kernel, that is for one run of one submission.

    Args:
        memory_bytes: private memory of one process (it then gets a MemoryError) and of all processes together
            (they are then killed).
        cpu_seconds: processor time of all the kernel's processes together.
        wall_seconds: time from the kernel's launch until it is killed, whatever it does.
        processes: processes and threads alive at one time.
        file_bytes: size of one written file.
        work_bytes: everything written to the work folder; /tmp and /dev/shm get as much again.
        output_bytes: output kept for one cell; what a cell prints beyond it is dropped.
        message_bytes: one message from the kernel; a longer one is refused before it is held in memory.
    """

    memory_bytes: int = 3 * 1024 * MIB
    cpu_seconds: int = 900
    wall_seconds: int = 600
    processes: int = 256
    file_bytes: int = 256 * MIB
    work_bytes: int = 256 * MIB
    output_bytes: int = 1 * MIB
    message_bytes: int = 8 * MIB

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value <= 0:
                raise LimitError(f"{field.name} is {value!r}: give a whole number above 0.")

    def as_dict(self) -> dict[str, int]:
        """The limits as plain data, for a kernel provisioner's configuration."""
        return asdict(self)
