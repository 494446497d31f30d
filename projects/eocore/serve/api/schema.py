"""Bodies of the endpoint, as OpenAI's API has them; what no model here supports is refused, not ignored.

Source: OpenAI API reference (chat completions, embeddings, models). Additions are `role`, `sensor` and `bands` of an image, `top_k` and
`repetition_penalty`, and `masks` of an answer.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from eocore.errors import ConfigError

NAME = Annotated[str, Field(max_length=200)]
MAX_MESSAGES = 200
NEUTRAL_PENALTY = 0
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """Of a request; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class ImageUrl(Body):
    """An image as a data URL; nothing is fetched.

    Attributes:
        url: data:image/png;base64,... (PNG, JPEG, GeoTIFF), or data:application/zip of a product.
        detail: accepted for OpenAI's clients; images are always read in the model's own resolution.
        role: what the image is to the model (rgb, multispectral, sar, ...); None = as its sensor tells.
        sensor: name in the sensor registry; None = told from the file.
        bands: names of the layers, where they deviate from the sensor's.
    """

    url: str
    detail: Literal["auto", "low", "high"] | None = None
    role: NAME | None = None
    sensor: NAME | None = None
    bands: list[NAME] | None = Field(default=None, max_length=64)


class TextPart(Body):
    """Words."""

    type: Literal["text"]
    text: str


class ImagePart(Body):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(Body):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] = Field(union_mode="left_to_right")
    name: NAME | None = None

    @property
    def text(self) -> str:
        """Its words."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> list[ImageUrl]:
        """Its images."""
        return [part.image_url for part in self.content if isinstance(part, ImagePart)] if isinstance(self.content, list) else []


class StreamOptions(Body):
    """Whether the last piece of a stream says how many tokens there were."""

    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


class ResponseFormat(Body):
    """Only plain text."""

    type: Literal["text"]


class ChatBody(Body):
    """POST /v1/chat/completions."""

    model: NAME
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: NAME | None = None
    n: Literal[1] | None = None
    response_format: ResponseFormat | None = None
    presence_penalty: float | None = Field(default=None, ge=NEUTRAL_PENALTY, le=NEUTRAL_PENALTY)
    frequency_penalty: float | None = Field(default=None, ge=NEUTRAL_PENALTY, le=NEUTRAL_PENALTY)
    logprobs: Literal[False] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def generation(self) -> dict[str, float | int | bool]:
        """Options of generation: greedy unless a temperature above 0 is given.

        Raises:
            ConfigError: top_p or top_k without a temperature, which would do nothing.
        """
        found: dict[str, float | int | bool] = {}
        if self.temperature:
            found = {"do_sample": True, "temperature": self.temperature}
            found |= {"top_p": self.top_p} if self.top_p is not None else {}
            found |= {"top_k": self.top_k} if self.top_k is not None else {}
        elif (self.top_p or 1) < 1 or self.top_k:
            raise ConfigError(
                "top_p and top_k choose among several tokens, which needs a temperature above 0; without it answers are greedy."
            )
        return found | ({"repetition_penalty": self.repetition_penalty} if self.repetition_penalty is not None else {})


class ImageInput(Body):
    """An image whose vector is wanted."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class EmbeddingsBody(Body):
    """POST /v1/embeddings: texts, images, or both in any order."""

    model: NAME
    input: str | Annotated[list[str | ImageInput], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    user: NAME | None = None

    @property
    def inputs(self) -> list[str | ImageInput]:
        """One a vector."""
        return [self.input] if isinstance(self.input, str) else self.input
