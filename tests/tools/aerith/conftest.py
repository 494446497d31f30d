"""The fixtures of Aerith's tests, for its commands."""

from aerith_models import make_fields, make_task, picture, scene_images, world  # noqa: F401  (fixtures)
