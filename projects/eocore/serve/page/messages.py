"""Errors in words for the user of a page: nothing of the server's disk, nothing of its code."""

from eocore.errors import EOError
from eocore.serve.service import Service
from eocore.serve.sessions import without_paths

UNFORESEEN = "Something went wrong on the server ({kind}); its log says more. Try again, or tell who runs it."


def told(error: Exception, service: Service) -> str:
    """What is shown of an error.

    Args:
        error: any.
        service: whose folders are not named.
    """
    if not isinstance(error, EOError):
        return UNFORESEEN.format(kind=type(error).__name__)
    return str(without_paths(error, service.options.uploads.resolve(), service.options.uploads))
