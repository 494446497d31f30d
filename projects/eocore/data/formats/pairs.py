"""Images of two moments whose files a data set names one by one: before and after."""

from dataclasses import dataclass, replace

from eocore.data.dataset import RecordDataset
from eocore.data.records import ImageRef
from eocore.portable.series import AFTER, BEFORE


@dataclass(kw_only=True, eq=False, repr=False)
class PairDataset(RecordDataset):
    """Records of pairs of images; a subclass says how to parse the file."""

    def locate_pair(self, before: str, after: str, *, source: str, times: tuple[str, str] = (BEFORE, AFTER)) -> tuple[ImageRef, ...]:
        """The images of both moments, one of each role that has files, those before first.

        Args:
            before, after: names of the images, as `locate_images` takes them.
            source: "file:line" or "file#entry", for messages.
            times: of both.

        Raises:
            ConfigError, DataError: as `locate_images`.
        """
        named = ((before, times[0]), (after, times[1]))
        return tuple(replace(ref, time=time) for image, time in named for ref in self.locate_images(image, source))
