"""What Aerith's processor is set to; in processor_config.json and in configs all of it stands side by side."""

from dataclasses import dataclass

ROLES = ("rgb",)


@dataclass(frozen=True, kw_only=True)
class ProcessorOptions:
    """Fields of `AerithProcessor`.

    Attributes:
        clip_size, dinov3_size: side of the image of each tower [px]; the model decides them.
        tokens_per_image: embeddings of one image; the model decides them.
        template: name of the chat template, a .jinja file of `eocore.portable`; "plain" for captions alone.
    """

    clip_size: int = 224
    dinov3_size: int = 256
    tokens_per_image: int = 144
    template: str = "llama2_chat"

    def __post_init__(self) -> None:
        if min(self.clip_size, self.dinov3_size, self.tokens_per_image) < 1:
            raise ValueError("clip_size, dinov3_size and tokens_per_image must be positive.")
