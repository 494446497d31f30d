import json
from pathlib import Path

from aerith.building.tokenizer import ChatTokenizer, TrainedChatTokenizer


def corpus(folder: Path) -> str:
    path = folder / "vqa.json"
    path.write_text(json.dumps([{"conversations": [{"from": "human", "value": "<image>\nWhere is the water?"}]}]))
    return str(path)


def test_coordinates_are_few_tokens_and_the_marks_single_ones(tmp_path: Path) -> None:
    made = TrainedChatTokenizer(path=str(tmp_path / "words"), corpus=[corpus(tmp_path)], vocab_size=460, box_decimals=2)
    box = "[0.07, 0.93, 0.55, 1.00]"
    assert len(made(box).input_ids) <= 18 and made.decode(made(box).input_ids).replace(" ", "") == box.replace(" ", "")
    assert made.convert_tokens_to_ids("<|im_end|>") not in (None, made.unk_token_id)
    again = TrainedChatTokenizer(path=str(tmp_path / "words"), corpus=[str(tmp_path / "gone.json")])
    assert again.get_vocab() == made.get_vocab()


def test_one_without_padding_pads_with_its_unknown_or_end_token(tmp_path: Path) -> None:
    made = TrainedChatTokenizer(path=str(tmp_path / "words"), corpus=[corpus(tmp_path)], vocab_size=300)
    made.pad_token = None
    made.save_pretrained(tmp_path / "without")
    assert ChatTokenizer(path=str(tmp_path / "without")).pad_token == made.eos_token
