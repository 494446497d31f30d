"""Importing this module registers the core's datasets and transforms, which configs name."""

from eocore.data import conversation, mixture, series_transforms, task_turns, transforms  # noqa: F401
from eocore.data.augmentation import clouds, crop, dropout, mmcv_transform, orientation, radiometry, scale  # noqa: F401
from eocore.data.formats import captions, class_folders, class_tables, image_lists, llava, refer, regions, series, ssl4eo, task_annotations  # noqa: F401
