"""Configs of transformers models as they resolve, for comparison."""

from collections.abc import Sequence

from transformers import PretrainedConfig

from eocore.resolve import Resolved, join, resolve

NOT_THE_MODEL = ("transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype", "use_cache")
"""Fields that say where a model comes from or how it was stored."""


def describe_config(config: PretrainedConfig, *, leave_out: Sequence[str] = ()) -> Resolved:
    """All fields of a config and of the configs in it, with the defaults of their classes.

    Args:
        config: of a built model, since building fills fields in.
        leave_out: fields, besides NOT_THE_MODEL.
    """
    left_out = (*NOT_THE_MODEL, *leave_out)
    inner = {name: describe_config(part) for name, part in vars(config).items() if isinstance(part, PretrainedConfig)}
    own = {name: value for name, value in config.to_dict().items() if name not in left_out and name not in inner}
    defaults = {name: resolve(value).values for name, value in type(config)().to_dict().items() if name in own}
    joined = join({**{name: resolve(value) for name, value in own.items()}, **inner})
    return Resolved(joined.values, {**joined.defaults, **defaults})
