"""What the tests of Aerith share."""

from aerith_models import make_fields, make_task, picture, scene_images, task, world  # noqa: F401  (fixtures)
