"""Change between two images: masks (LEVIR-CD, xBD) and captions (LEVIR-CC)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import Entry, read_object
from eocore.data.formats.pairs import PairDataset
from eocore.data.records import MaskRef, Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.caption import KarpathyCaptionDataset
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import RGB, Question, pictures
from eocore.portable.messages import Seg, Turn, about_images, read_parts
from eocore.portable.series import AFTER, BEFORE
from eocore.registry import DATASETS

DESCRIBE_CHANGE = "Please briefly describe the changes in these two images."
"""Source: ChangeChat-105k."""
SEGMENT_CHANGE = "Please segment what changed."
SEGMENT_DAMAGE = "Please segment the buildings with {damage}."
DAMAGES = {"no-damage": "no damage", "minor-damage": "minor damage", "major-damage": "major damage", "destroyed": "total damage"}
"""xBD's classes -> words. Source: Gupta et al. 2019, arXiv 1911.09296, table 1."""
_RING = re.compile(r"\(([^()]+)\)")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ChangeCaptionDataset(KarpathyCaptionDataset, PairDataset):
    """LEVIR-CC's LevirCCcaptions.json: {images: [{filepath, filename, split, changeflag, sentences: [{raw}]}]}.

    The pair lies in images/<filepath>/A and B. Meta has `type`: "change" or "no change", by `changeflag`. Source:
    github.com/Chen-Yang-Liu/RSICC.
    """

    prompt: str = DESCRIBE_CHANGE

    def _record(self, entry: Entry, image: str, *, texts: list[str]) -> Record:
        folder = entry.text("filepath")
        kind = "change" if entry.integer("changeflag") else "no change"
        question = Question(
            sample_id=image,
            image=f"{folder}/B/{image}",
            source=entry.source,
            answer=texts[0],
            meta={"references": texts, "type": kind},
        )
        images = self.locate_pair(f"{folder}/A/{image}", question.image, source=entry.source)
        return replace(self.ask(question, task=self.task), images=images, captions=tuple(texts))


@dataclass(kw_only=True, eq=False, repr=False)
class ChangeMasks(PairDataset):
    """Questions for masks on the image after; the subclasses tell the layout."""

    def mask_record(self, sample_id: str, question: str, *, mask: MaskRef, images: tuple[Any, ...], source: str) -> Record:
        """The record of a request for one mask, which lies on the last image."""
        return Record(
            sample_id=sample_id,
            images=images,
            turns=(Turn("user", about_images(*read_parts(question, "user"))), Turn("assistant", (Seg(0),))),
            masks=(replace(mask, image=len(images) - 1),),
            task="referring",
            source=source,
            meta={"answer": ""},
        )


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ChangeFolderDataset(ChangeMasks):
    """LEVIR-CD and sets laid out like it: one folder of a split with A, B and label, files of one name in each; label is above 0 where
    something changed (LEVIR-MCI: 128 road, 255 building, which `value` chooses). Source: justchenhao.github.io/LEVIR.

    Args:
        annotations: the folder of the split.
        images: role -> image source below that folder; `{name}` is "A/<file>" or "B/<file>".
        prompt: the request.
        value: pixels of `label` that count; None = all above 0.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the folder's name.

    Raises:
        DataError: there is no label, or one without its images.
    """

    prompt: str = SEGMENT_CHANGE
    value: int | None = None

    def parse(self, path: Path) -> list[Record]:
        labels = sorted(file for file in (path / "label").glob("*") if file.suffix.lower() in (".png", ".tif", ".tiff"))
        if not labels:
            raise DataError(f"{path}/label: no masks (.png, .tif). Expected the folders A, B and label of one split; fetch the data set.")
        return [self._record(path, file) for file in labels]

    def _record(self, path: Path, label: Path) -> Record:
        absent = [str(path / side / label.name) for side in "AB" if not (path / side / label.name).is_file()]
        if absent:
            raise DataError(
                f"{label}: its image {absent[0]} is missing; a pair has files of one name in A and B. Fetch it, or remove the mask."
            )
        images = self.locate_pair(f"A/{label.name}", f"B/{label.name}", source=str(label))
        mask = MaskRef("file", {"path": str(label.resolve()), "value": self.value}, str(label))
        return self.mask_record(label.stem, self.prompt, mask=mask, images=images, source=str(label))


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class XbdDataset(ChangeMasks):
    """xBD: images/<id>_{pre,post}_disaster.png and labels/<id>_post_disaster.json with building polygons and their damage.

    One record for each damage class that an image has buildings of; dates are those of `metadata.capture_date`, where both labels have them
    and they are in order. Source: Gupta et al. 2019, arXiv 1911.09296; xview2.org.

    Args:
        annotations: the folder `labels`.
        images: role -> image source; `{name}` is "<id>_pre_disaster.png" or "<id>_post_disaster.png".
        prompt: the request, with `{damage}`.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages.

    Raises:
        ConfigError: a prompt without `{damage}`.
        DataError: there are no labels.
        AnnotationError: a label breaks the form.
    """

    prompt: str = SEGMENT_DAMAGE

    def __post_init__(self) -> None:
        if "{damage}" not in self.prompt:
            raise ConfigError(f"XbdDataset: the prompt {self.prompt!r} does not hold {{damage}}, so all classes would be asked for alike.")
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        labels = sorted(path.glob("*_post_disaster.json"))
        if not labels:
            raise DataError(f"{path}: no *_post_disaster.json. Expected the folder labels of xBD; fetch the data set.")
        return [record for file in labels for record in self._records(file)]

    def _records(self, file: Path) -> list[Record]:
        label = Entry(read_object(file, "with features and metadata"), str(file))
        scene = file.stem.removesuffix("_post_disaster")
        times = _dates(file.with_name(f"{scene}_pre_disaster.json"), label)
        images = self.locate_pair(f"{scene}_pre_disaster.png", f"{scene}_post_disaster.png", source=str(file), times=times)
        return [
            self.mask_record(
                f"{scene}_{damage}",
                self.prompt.replace("{damage}", DAMAGES[damage]),
                mask=MaskRef("polygon", rings, str(file)),
                images=images,
                source=str(file),
            )
            for damage, rings in _buildings(label).items()
        ]


def _buildings(label: Entry) -> dict[str, list[list[float]]]:
    """Damage -> rings of its buildings, of those classes that occur.

    Raises:
        AnnotationError: a feature has no polygon or an unknown class.
    """
    features = label.values.get("features")
    listed = features.get("xy") if isinstance(features, Mapping) else None
    if not isinstance(listed, list):
        raise AnnotationError(f"{label.source}: expected features.xy, a list of buildings. Fetch the file again.")
    found: dict[str, list[list[float]]] = {}
    for number, feature in enumerate(listed):
        properties = feature.get("properties", {}) if isinstance(feature, Mapping) else {}
        damage, ring = properties.get("subtype"), _RING.search(str(feature.get("wkt", "")) if isinstance(feature, Mapping) else "")
        if damage == "un-classified":
            continue
        if damage not in DAMAGES or ring is None:
            raise AnnotationError(
                f"{label.source} features.xy[{number}]: subtype {damage!r}, wkt {'absent' if ring is None else 'present'}; expected one "
                f"of {', '.join(DAMAGES)} and a POLYGON. Fetch the file again."
            )
        found.setdefault(damage, []).append([float(word) for word in ring[1].replace(",", " ").split()])
    return {damage: found[damage] for damage in DAMAGES if damage in found}


def _dates(pre: Path, post: Entry) -> tuple[str, str]:
    """The days both images were taken, where they are known and in order; else "before" and "after"."""
    values = read_object(pre, "with metadata") if pre.is_file() else {}
    days = [_day(content) for content in (values, post.values)]
    return (days[0], days[1]) if all(days) and days[0] < days[1] else (BEFORE, AFTER)


def _day(content: Mapping[str, Any]) -> str:
    metadata = content.get("metadata")
    try:
        return datetime.fromisoformat(str(metadata["capture_date"])).date().isoformat() if isinstance(metadata, Mapping) else ""
    except (KeyError, ValueError):
        return ""


_CHANGE = partial(Benchmark, suite="change", settings=RGB)
_CHANGE_MASKS = partial(_CHANGE, task="referring", metric={"type": "ChangeMaskScores"})


def _read_by(reader: str, annotations: str, *, images: str) -> dict[str, Any]:
    return {"type": reader, "annotations": f"$root/{annotations}", "images": pictures(f"$root/{images}"), "prompt": "$prompt"}


register(
    _CHANGE(
        name="levir_cc",
        title="LEVIR-CC test",
        task="caption",
        prompt=DESCRIBE_CHANGE,
        expected=1929,
        source="github.com/Chen-Yang-Liu/RSICC: LevirCCcaptions.json and images/ into LEVIR-CC/.",
        dataset=_read_by("ChangeCaptionDataset", "LEVIR-CC/LevirCCcaptions.json", images="LEVIR-CC/images"),
    ),
    _CHANGE_MASKS(
        name="levir_cd",
        title="LEVIR-CD test",
        prompt=SEGMENT_CHANGE,
        expected=128,
        source="justchenhao.github.io/LEVIR: test.zip into LEVIR-CD/test/ (A, B, label).",
        dataset=_read_by("ChangeFolderDataset", "LEVIR-CD/test", images="LEVIR-CD/test"),
    ),
    _CHANGE_MASKS(
        name="xbd",
        title="xBD test",
        prompt=SEGMENT_DAMAGE,
        source="xview2.org: the test archive into xBD/test/ (images, labels).",
        dataset=_read_by("XbdDataset", "xBD/test/labels", images="xBD/test/images"),
    ),
)
