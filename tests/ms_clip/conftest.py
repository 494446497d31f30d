"""What the tests of MS-CLIP share."""

from ms_clip_models import band_model, chips, make_fields, make_task, picture_model, save_model  # noqa: F401  (fixtures)
