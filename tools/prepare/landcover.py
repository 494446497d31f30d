"""Questions and masks from a folder of co-registered GeoTIFFs: python tools/prepare/landcover.py --source tiles --out data/landcover

The source holds one subfolder per sensor and one of land-cover maps; equal file names show the same location. A config then reads
OUT/SPLIT/<annotation file> with images=dict(multispectral=dict(root='SOURCE/S2L2A', pattern='{stem}.tif', sensor='sentinel2_l2a'), ...),
or, after --copy, with root='OUT/SPLIT/multispectral' and so on.

What the numbers of the maps mean is told with --classes: a published scheme, or a JSON file {"10": "forest", "80": "water", "0": null},
null for what is no class. Without it the numbers must fit one published scheme alone.
"""

import argparse
import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.class_schemes import SCHEMES, find_scheme
from eocore.converters.command import counting, show_counts
from eocore.converters.landcover import TileSet, prepare_landcover


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder of the subfolders")
    parser.add_argument("--out", type=Path, default=Path("data/landcover"), help="folder to write to")
    parser.add_argument("--split", default="train", help="subfolder of --out, and the split's name")
    parser.add_argument("--multispectral", default="S2L2A", help="subfolder of the Sentinel-2 images (S2L2A or S2L1C), '' for none")
    parser.add_argument("--sar", default="S1RTC", help="subfolder of the Sentinel-1 images, '' for none")
    parser.add_argument("--rgb", default="S2RGB", help="subfolder of the colour images, '' for none")
    parser.add_argument("--labels", default="LULC", help="subfolder of the land-cover maps")
    schemes = ", ".join(scheme.name for scheme in SCHEMES)
    parser.add_argument("--classes", metavar="NAME|FILE", help=f"what the numbers of the maps mean: {schemes}, or a JSON file")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of questions")
    parser.add_argument("--copy", action="store_true", help="copy the images to --out instead of referring to them in place")
    arguments = parser.parse_args()
    images = {modality: getattr(arguments, modality) for modality in ("rgb", "multispectral", "sar")}
    chosen = {modality: arguments.source / folder for modality, folder in images.items() if folder}
    scheme = find_scheme(arguments.classes) if arguments.classes else None
    tiles = TileSet(arguments.source / arguments.labels, chosen, scheme)
    with counting("tiles") as advance:
        choices = {"split": arguments.split, "seed": arguments.seed, "copy": arguments.copy}
        written = prepare_landcover(tiles, arguments.out, **choices, on_tile=advance)
    show_counts(arguments.out / arguments.split, written)


if __name__ == "__main__":
    sys.exit(main())
