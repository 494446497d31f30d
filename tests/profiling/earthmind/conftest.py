"""What the tests of measurements share."""

from collections.abc import Callable
from typing import Any

import pytest
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


@pytest.fixture
def settings(make_fields: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    fields = make_fields(tie=False)
    fields["text_config"]["vocab_size"] = 400
    return {
        "model": fields,
        "tokenizer": {},
        "processor": {"max_tiles": 12},
        "trainable": ["seg_head.sam.mask_decoder", "projector"],
        "trainable_tokens": ["[SEG]"],
        "lora": {"rank": 2, "alpha": 4},
        "losses": {"num_points": 32},
    }
