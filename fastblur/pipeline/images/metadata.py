"""What images that are written may carry besides their pixels: previews of what they show, or no metadata at all."""

from fastblur.codecs import file_to_copy, strip_metadata
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.task import Images, ImageTask, Outcome, guarded

WITHOUT_PREVIEWS = "written without its previews: they do not show the picture"


def finish_copied(image: ImageTask) -> None:
    """Finish an image in which nothing is to be hidden; raises Failure where its file must not be written as it is.

    A JPEG whose previews show something else is written without them, and its reason says so.
    """
    picture = None if image.decoded is None else image.decoded.picture
    data = guarded("decode", file_to_copy, image.data, picture)
    if data is not image.data:
        image.reason = WITHOUT_PREVIEWS
    image.finish(Outcome.COPIED, data)


def strip_results(images: Images) -> None:
    """Remove the metadata of images that were hidden or copied; those of which that is not possible fail."""
    for image in images:
        if image.result is None or image.outcome not in (Outcome.HIDDEN, Outcome.COPIED):
            continue
        try:
            image.result = guarded("metadata", strip_metadata, image.result)
        except Failure as failure:
            image.fail(str(failure))
