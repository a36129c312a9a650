"""A kernel manager for grading: the kernel goes into the sandbox, no message of it can fill the grader's memory, and
none can change what an earlier cell showed.

jupyter_client takes the provisioner from the kernel's specification; this manager names ours there, for its own kernel
alone, so that the instructor's interactive kernels on the same server stay as they are.
"""

from __future__ import annotations

from typing import Any

import zmq
import zmq.asyncio
from jupyter_client import AsyncKernelManager
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import DottedObjectName, Type

from grading.limits import Limits


class LastingOutputs(AsyncZMQSocketChannel):
    """Takes the names off outputs by which a later message could replace them.

    Else code that has seen a hidden test could write it into an output from before, which the feedback page shows, and
    a later cell could replace the points that a test gave.
    """

    async def get_msg(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = await super().get_msg(*args, **kwargs)
        message["content"].pop("transient", None)
        return message


class GradingKernelClient(AsyncKernelClient):
    """An AsyncKernelClient for which an output, once shown, stays as it is."""

    iopub_channel_class = Type(LastingOutputs)


class GradingKernelManager(AsyncKernelManager):
    """An AsyncKernelManager whose kernel is sandboxed and whose clients refuse oversized messages."""

    client_class = DottedObjectName("grading.kernels.GradingKernelClient")
    client_factory = Type(GradingKernelClient)
    grading_limits: Limits = Limits()
    client_context: zmq.asyncio.Context | None = None

    def confine(self, limits: Limits) -> None:
        """Chooses the sandbox for the kernel that this manager starts next."""
        assert self.kernel_spec is not None, f"no kernel specification named {self.kernel_name}"
        self.grading_limits = limits
        self.kernel_spec.metadata["kernel_provisioner"] = {
            "provisioner_name": "sandbox-provisioner",
            "config": {"limits": limits.as_dict()},
        }

    def client(self, **kwargs: Any) -> Any:
        """A client that drops the connection when one message is larger than the limit."""
        self.client_context = zmq.asyncio.Context()
        self.client_context.setsockopt(zmq.MAXMSGSIZE, self.grading_limits.message_bytes)
        return super().client(context=self.client_context, **kwargs)

    def close_client(self) -> None:
        """Releases the sockets' threads; one context per kernel would otherwise pile up over a class."""
        if self.client_context is not None:
            self.client_context.destroy(linger=0)
            self.client_context = None
