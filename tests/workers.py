"""How the tests are shared out when several workers run them (`make test`, `make test-slow`; pytest-xdist)."""

import re

from xdist.scheduler import LoadScopeScheduling


class ByFileAndLab(LoadScopeScheduling):
    """A file's tests go to one worker, because they share fixtures.

    A file that tests every lab is shared out by labs: what one lab's tests share is the bench with that lab on it.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        lab = re.search(r"lab\d\d(-[a-z0-9]+)+(?=\]$)", test)
        return f"{file} {lab[0]}" if lab else file
