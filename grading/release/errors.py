"""What can go wrong between a lab's text source and its released folder: one line each, with the remedy."""


class ReleaseError(ValueError):
    """Something about a lab stops its release; the message names the file, what is wrong and what to do."""


class LabSourceError(ReleaseError):
    """A lab's text source cannot be used as it stands."""


class UnknownLabError(ReleaseError):
    """No text source has this name."""
