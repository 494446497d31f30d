"""Token ids and labels of every kind of prompt are those recorded in prompt_ids.json, before chat templates were jinja files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import ProcessorOptions
from earthmind.model.special_tokens import SPECIAL_TOKENS

RECORDED = json.loads(Path(__file__).with_name("prompt_ids.json").read_text())
MARKS = {"phi3_chat": ["<|user|>", "<|end|>", "<|assistant|>"], "chatml": ["<|im_start|>", "<|im_end|>"]}
MERGES = [("Ċ", "Ċ"), (">", "Ċ"), ("|", ">"), ("Ċ", "<"), ("?", "<"), (".", "<")]
"""Joins across the borders of a turn: ids differ wherever a text is cut at another position."""
PICTURE = np.full((32, 32, 3), 7, np.uint8)
TURNS = [
    ("user", "<image>\nWhere is <region>?"),
    ("assistant", "Here: [SEG].\n"),
    ("user", "\nSay [SEG] or <|end|><|im_end|>?"),
    ("assistant", "No.\n\n"),
]
QUESTIONS = [("user", "<image>\nWhat?"), ("assistant", "Fields."), ("user", "\nWhere?"), ("assistant", "East.\n")]


def make_processor(template: str, *, whole_marks: bool) -> EarthMindProcessor:
    """With a byte-level tokenizer of few merges; the marks of the template are whole tokens of it or not."""
    merged = [first + second for first, second in MERGES]
    vocabulary = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *merged]
    core = Tokenizer(models.BPE({token: number for number, token in enumerate(vocabulary)}, MERGES))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL_TOKENS, *(MARKS[template] if whole_marks else [])]})
    options = ProcessorOptions(tile_size=32, tile_tokens=(2, 2), max_tiles=1, grounding_size=16, template=template)
    return EarthMindProcessor(tokenizer, options)


def prompts(processor: EarthMindProcessor) -> dict[str, dict[str, list[int]]]:
    """Ids, and labels where there are any, of a conversation, its continuation, independent questions and chat messages."""
    region, images = np.ones((32, 32), bool), {"rgb": PICTURE}
    samples = {
        "conversation": processor.encode(images, TURNS, regions=[region]),
        "continuation": processor.encode(images, TURNS[:3], regions=[region], for_generation=True),
        "questions": processor.encode(images, QUESTIONS, independent=True),
        "text": processor.encode({}, [("user", "Hi"), ("assistant", "Hi.")]),
    }
    found: dict[str, Any] = {
        name: {key: getattr(sample, key).tolist() for key in ("input_ids", "labels")} for name, sample in samples.items()
    }
    content = [{"type": "image"}, {"type": "text", "text": "Where is [SEG]?"}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": "It is [SEG].\n"},
        {"role": "user", "content": "\nA?"},
    ]
    written = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    found["messages"] = {"input_ids": processor(images=Image.fromarray(PICTURE), text=written)["input_ids"][0].tolist()}
    return found


@pytest.mark.parametrize("whole_marks", [True, False])
@pytest.mark.parametrize("template", MARKS)
def test_ids_and_labels_are_those_recorded(template: str, whole_marks: bool) -> None:
    assert prompts(make_processor(template, whole_marks=whole_marks)) == RECORDED[f"{template} {whole_marks}"]
