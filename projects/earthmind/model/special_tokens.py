"""EarthMind's special tokens, with the names and spellings that the upstream checkpoints know."""

from eocore.portable.text_splicing import PromptTokens

IMAGE_TOKEN = "<IMG_CONTEXT>"
IMAGE_START, IMAGE_END = "<img>", "</img>"
REGION_START, REGION_END = "<vp>", "</vp>"
SEG_TOKEN = "[SEG]"
ANSWER_TOKENS = (SEG_TOKEN, "<p>", "</p>")
"""Special tokens that an answer may hold."""
SPECIAL_TOKENS = (IMAGE_TOKEN, IMAGE_START, IMAGE_END, *ANSWER_TOKENS, REGION_START, REGION_END)
PROMPT_TOKENS = PromptTokens(
    image=IMAGE_TOKEN,
    image_start=IMAGE_START,
    image_end=IMAGE_END,
    region_start=REGION_START,
    region_end=REGION_END,
    special=SPECIAL_TOKENS,
)
