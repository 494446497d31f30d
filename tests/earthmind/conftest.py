"""What the tests of this system share."""

from earthmind_models import (  # noqa: F401  (fixtures)
    make_config,
    make_fields,
    make_scenes,
    make_task,
    make_tiny,
    make_tokenizer,
    our_folder,
    published_folder,
    square_mask,
    tiny,
)
