"""The stage that removes the metadata of images that are to be written."""

from fastblur.codecs import strip_metadata
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.task import Images, Outcome, guarded


def strip_results(images: Images) -> None:
    """Remove the metadata of images that were hidden or copied; those of which that is not possible fail."""
    for image in images:
        if image.result is None or image.outcome not in (Outcome.HIDDEN, Outcome.COPIED):
            continue
        try:
            image.result = guarded("metadata", strip_metadata, image.result)
        except Failure as failure:
            image.fail(str(failure))
