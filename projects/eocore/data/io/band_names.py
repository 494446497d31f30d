"""Which band each layer of an image is; docs/formats.md has the order of precedence."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from eocore.data.io.layer_file import LEFT_OUT, LayerFile
from eocore.data.records import ImageRef
from eocore.errors import BandError
from eocore.sensors.band_words import are_meaningless, bands_said, polarisations_said
from eocore.sensors.bands import Sensor

Names = list[str | None]

REMEDY = "Give the names of the layers in `bands` (predict: --bands INPUT=NAME,NAME,...)"


def name_bands(ref: ImageRef, sensor: Sensor, *, files: Sequence[LayerFile]) -> tuple[str, ...]:
    """The band of each layer of the files, in their order.

    By, in this order: `ref.bands`; what layers and file names say; for one file alone, the sensor's own order, where the count agrees.

    Raises:
        BandError: what is said names no band, or one several times, or contradicts itself; or nothing is said and the count does not tell.
    """
    texts = [name for file in files for name in file.names]
    of_layers, of_files = _bands_of_layers(sensor, files), _bands_of_file_names(sensor, files)
    said = _agreed(of_layers or [None] * len(texts), of_files or [None] * len(texts), source=ref.paths[0])
    if ref.bands:
        return _given(ref, sensor, said=said)
    names = tuple(name for name in said if name)
    if len(names) == len(said) == len(set(names)):
        return names
    if names:
        raise _partly_said(sensor, of_layers=of_layers, of_files=of_files, texts=texts, source=ref.paths[0])
    return _counted(sensor, files, source=ref.paths[0])


def check_left_out(ref: ImageRef, sensor: Sensor, *, files: Sequence[LayerFile]) -> None:
    """Raise BandError if `bands` leaves out the layer that says it is a band, and gives that band's name to another layer.

    Args:
        ref: with "-" among its bands.
        sensor: whose bands they are.
        files: opened, with all their layers.
    """
    said = [layer or file for layer, file in zip_longest(_bands_of_layers(sensor, files), _bands_of_file_names(sensor, files))]
    if len(said) != len(ref.bands):
        return  # of another number of layers, `leave_out` tells
    given = [sensor.canonical_name(name) for name in ref.bands]
    for name, band in zip(ref.bands, said, strict=True):
        if name == LEFT_OUT and band and band in given and said[given.index(band)] != band:
            raise BandError(
                f"{ref.paths[0]}: `bands` leaves out the layer that the files call {band}, and calls another one {band}; one band would "
                "be taken for another. Give `bands` in the order of the layers or files."
            )


def _given(ref: ImageRef, sensor: Sensor, *, said: Names) -> tuple[str, ...]:
    """The names of `ref.bands`, checked against what the files say."""
    names = tuple(sensor.band(name).name for name in ref.bands)
    if len(names) != len(said) or len(set(names)) < len(names):
        raise BandError(
            f"{ref.paths[0]}: {len(said)} layers, but `bands` gives {len(names)} names ({', '.join(names)}). Give each layer one name, "
            "or '-' to leave it out."
        )
    other = {band.name for band in sensor.other_bands}
    mixed_up = any(name and name != given and other & {name, given} for name, given in zip(said, names, strict=True))
    if mixed_up or (list(names) != said and sorted(names) == sorted(map(str, said))):
        raise BandError(
            f"{ref.paths[0]}: `bands` calls the layers {', '.join(names)}, but the files call them {', '.join(map(str, said))}; one band "
            "would be taken for another. Give `bands` in the order of the layers or files, or leave it out."
        )
    return names


def _agreed(of_layers: Names, of_files: Names, *, source: str) -> Names:
    for layer, file in zip(of_layers, of_files, strict=True):
        if layer and file and layer != file:
            raise BandError(
                f"{source}: a layer is described as {layer}, but its file is named after {file}; one of them is wrong. {REMEDY} after "
                "looking at the file, or correct its name."
            )
    return [layer or file for layer, file in zip(of_layers, of_files, strict=True)]


def _bands_of_layers(sensor: Sensor, files: Sequence[LayerFile]) -> Names:
    if _are_numbered_pictures(sensor, files):
        return []
    return bands_said([name for file in files for name in file.names], sensor, are_layers=True)


def _bands_of_file_names(sensor: Sensor, files: Sequence[LayerFile]) -> Names:
    """The band each file is named after, where each has one layer and there are several files or the sensor has several bands."""
    if any(len(file.names) != 1 for file in files) or (len(files) == 1 and len(sensor.bands) == 1):
        return []
    return bands_said([file.path.stem for file in files], sensor, are_layers=False)


def _are_numbered_pictures(sensor: Sensor, files: Sequence[LayerFile]) -> bool:
    """Whether the layers of a picture made for display are only numbered (b1, b2, b3), which elsewhere is the name of a band."""
    return sensor.unit == "uint8" and all(are_meaningless(file.names, stem=file.path.stem) for file in files)


def _partly_said(sensor: Sensor, *, of_layers: Names, of_files: Names, texts: Names, source: str) -> BandError:
    by_layers = any(of_layers)
    called = [band or text for band, text in zip(of_layers, texts, strict=True)] if by_layers else of_files
    return BandError(
        f"{source}: the {'layers' if by_layers else 'file names'} are called {', '.join(map(str, called))}, of which {sensor.name} knows, "
        f"once each, only some (its bands: {', '.join(sensor.all_band_names)}). {REMEDY}, or correct the sensor."
    )


def _counted(sensor: Sensor, files: Sequence[LayerFile], *, source: str) -> tuple[str, ...]:
    """The sensor's own order for one file whose layers nothing names."""
    file, count = files[0], len(files[0].names)
    if len(files) > 1:
        stems = ", ".join(file.path.name for file in files[:4])
        raise BandError(
            f"{source}: {len(files)} files ({stems}{', ...' if len(files) > 4 else ''}), of which nothing says which band of {sensor.name} "
            f"each is; the order of files decides nothing. {REMEDY}, or give each file the name of its band (x_{sensor.band_names[0]}.tif)."
        )
    if count > 1 and not are_meaningless(file.names, stem=file.path.stem):
        described = ", ".join(map(str, file.names[:6])) + (", ..." if count > 6 else "")
        raise BandError(
            f"{source}: the layers are called {described}, which are no bands of {sensor.name} ({', '.join(sensor.all_band_names)}). "
            f"{REMEDY} if they are its bands all the same, or name the sensor they come from."
        )
    _check_polarisations(sensor, file.path, count=count)
    if count != len(sensor.bands):
        raise BandError(
            f"{source}: {count} unnamed layers, but {sensor.name} has {len(sensor.bands)} bands "
            f"({', '.join(sensor.band_names)}). Give the names of the layers in `bands`, or name the sensor they come from."
        )
    return sensor.band_names


def _check_polarisations(sensor: Sensor, path: Path, *, count: int) -> None:
    """Raise BandError if the name of a radar file, or of its folder, lists other polarisations, or in another order, than its unnamed
    layers would be given."""
    if not {"VV", "HH"} & set(sensor.all_band_names):
        return
    listed = polarisations_said(path.stem) or polarisations_said(path.parent.name)
    if listed and listed != list(sensor.band_names):
        raise BandError(
            f"{path}: {count} unnamed layers in a file or folder named after {', '.join(listed)}; without names its layers would be taken "
            f"for {', '.join(sensor.band_names)}. {REMEDY}."
        )
