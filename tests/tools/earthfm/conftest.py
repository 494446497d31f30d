"""The fixtures of EarthFM's tests, for its commands."""

from earthfm_samples import make_fields, make_task, model_folder, small_parts, world  # noqa: F401  (fixtures)
