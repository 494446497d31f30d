"""Tokenizers: special tokens are single and new only once, and a built one never changes its ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import context

from earthmind.building import tokenizer as tokenizers
from earthmind.building.tokenizer import PretrainedTokenizer, TrainedTokenizer, add_special_tokens
from earthmind.model.special_tokens import SPECIAL_TOKENS
from eocore.errors import CheckpointError, ConfigError, DataError
from eocore.models.vocabulary import save_whole
from eocore.registry import TOKENIZERS

SENTENCE = "The lagoon lies beside the quarry."


@pytest.fixture
def corpus(tmp_path: Path) -> list[str]:
    """One JSON file and one of JSON lines, in which a word is said often, and others where no language stands."""
    conversations = [{"id": "zzzyqx", "conversations": [{"from": "human", "value": SENTENCE}]}] * 20
    (tmp_path / "vqa.json").write_text(json.dumps(conversations))
    lines = [{"expression": "the archipelago", "sample_id": "wvvwvv", "mask": {"counts": "wvvwvv"}}] * 20
    (tmp_path / "referring.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    return [str(tmp_path / "vqa.json"), str(tmp_path / "referring.jsonl")]


def pieces(tokenizer: Any, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False).input_ids)


class TestSpecialTokens:
    def test_each_is_one_token_and_new_only_once(self, make_tokenizer: Callable[..., Any]) -> None:
        tokenizer = make_tokenizer(special=())
        assert add_special_tokens(tokenizer) == len(SPECIAL_TOKENS)
        assert all(len(tokenizer(token, add_special_tokens=False).input_ids) == 1 for token in SPECIAL_TOKENS)
        size = len(tokenizer)
        assert add_special_tokens(tokenizer) == 0 and len(tokenizer) == size

    def test_those_that_are_known_keep_their_ids(self, make_tokenizer: Callable[..., Any]) -> None:
        tokenizer = make_tokenizer(special=("[SEG]", "<img>"))
        before = tokenizer.convert_tokens_to_ids(["[SEG]", "<img>"])
        assert add_special_tokens(tokenizer) == len(SPECIAL_TOKENS) - 2
        assert tokenizer.convert_tokens_to_ids(["[SEG]", "<img>"]) == before

    def test_marks_of_the_template_stay_special(self, make_tokenizer: Callable[..., Any]) -> None:
        tokenizer = make_tokenizer(special=())
        add_special_tokens(tokenizer)
        assert pieces(tokenizer, "<|user|>")[0] == "<|user|>"
        assert tokenizer.decode(tokenizer("<|end|>[SEG]").input_ids, skip_special_tokens=True) == ""


class TestTrained:
    def test_it_learns_the_words_of_the_annotations_and_no_others(self, corpus: list[str], tmp_path: Path) -> None:
        tokenizer = TrainedTokenizer(path=str(tmp_path / "words"), corpus=corpus, vocab_size=600)
        vocabulary = tokenizer.get_vocab()
        assert {"Ġlagoon", "Ġquarry", "Ġarchipelago"} <= set(vocabulary)
        assert not any("zzzy" in word or "wvv" in word for word in vocabulary)

    def test_it_knows_the_questions_that_transforms_write(self, corpus: list[str], tmp_path: Path) -> None:
        assert "Ġsegment" in TrainedTokenizer(path=str(tmp_path / "words"), corpus=[], vocab_size=600).get_vocab()

    def test_any_text_comes_back_as_it_was(self, corpus: list[str], tmp_path: Path) -> None:
        tokenizer = TrainedTokenizer(path=str(tmp_path / "words"), corpus=corpus, vocab_size=400)
        for text in (SENTENCE, "Größe: 3,5 km²\n\tquatre  espaces", "水"):
            assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text

    def test_a_word_is_one_token_wherever_it_stands(self, corpus: list[str], tmp_path: Path) -> None:
        tokenizer = TrainedTokenizer(path=str(tmp_path / "words"), corpus=corpus, vocab_size=600)
        for text in ("lagoon", "\nlagoon\nlagoon", "[SEG] lagoon", "lagoon<|end|>", "the lagoon", "<img></img>lagoon"):
            assert "Ġlagoon" in pieces(tokenizer, text) and not {"Ġ", "lagoon"} & set(pieces(tokenizer, text)), text
        for text in ("lagoon", "\nlagoon\nlagoon", "[SEG] lagoon", "lagoon<|end|>", "\n lagoon"):
            assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text
        assert pieces(tokenizer, "<|user|>\n") == ["<|user|>", "Ċ"]

    def test_further_texts_give_words_too(self, tmp_path: Path) -> None:
        tokenizer = TrainedTokenizer(path=str(tmp_path / "words"), corpus=[], texts=["multispectral: "], vocab_size=600)
        assert pieces(tokenizer, "multispectral: ") == ["Ġmultispectral", ":", "Ġ"]

    @pytest.mark.parametrize(("template", "mark"), [("phi3_chat", "<|assistant|>"), ("chatml", "<|im_start|>")])
    def test_marks_of_the_template_are_single_tokens(self, tmp_path: Path, template: str, mark: str) -> None:
        tokenizer = TrainedTokenizer(path=str(tmp_path / "words"), corpus=[], vocab_size=300, template=template)
        assert pieces(tokenizer, mark) == [mark]
        assert all(len(tokenizer(token, add_special_tokens=False).input_ids) == 1 for token in SPECIAL_TOKENS)
        assert tokenizer.pad_token is not None and tokenizer.eos_token is not None

    def test_it_is_built_once_so_that_ids_never_shift(self, corpus: list[str], tmp_path: Path) -> None:
        first = TrainedTokenizer(path=str(tmp_path / "words"), corpus=corpus, vocab_size=400)
        Path(corpus[0]).write_text(json.dumps([{"question": "Something else altogether?"}] * 20))
        second = TrainedTokenizer(path=str(tmp_path / "words"), corpus=[*corpus, "gone.json"], vocab_size=300)
        assert second.get_vocab() == first.get_vocab()

    def test_ranks_that_start_together_end_with_the_same(self, corpus: list[str], tmp_path: Path) -> None:
        settings = {"path": str(tmp_path / "words"), "corpus": corpus, "vocab_size": 400}
        with context().Pool(2) as pool:
            vocabularies = [result.get(timeout=600) for result in [pool.apply_async(vocabulary_of, (settings,)) for _ in range(2)]]
        assert vocabularies[0] == vocabularies[1]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["referring.jsonl", "vqa.json", "words"]

    def test_who_comes_second_keeps_what_the_first_has_saved(
        self, corpus: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = TrainedTokenizer(path=str(tmp_path / "words"), corpus=corpus, vocab_size=400)
        save_whole(tokenizers._train(["other words"], 300, template="phi3_chat"), tmp_path / "words")
        again = TrainedTokenizer(path=str(tmp_path / "words"), corpus=corpus)
        assert again.get_vocab() == first.get_vocab()

    def test_a_place_that_cannot_be_written_is_no_second_comer(self, tmp_path: Path) -> None:
        (tmp_path / "words").write_text("a file")
        with pytest.raises(OSError):
            TrainedTokenizer(path=str(tmp_path / "words"), corpus=[])

    def test_a_missing_corpus_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"tokenizer corpus .*vqa.json does not exist; without it the vocabulary would miss its words"):
            TrainedTokenizer(path=str(tmp_path / "words"), corpus=[str(tmp_path / "vqa.json")])
        assert not (tmp_path / "words").exists()


def vocabulary_of(settings: dict[str, Any]) -> dict[str, int]:
    return TrainedTokenizer(**settings).get_vocab()


class TestPretrained:
    def test_special_tokens_are_added_to_a_saved_one(self, make_tokenizer: Callable[..., Any], tmp_path: Path) -> None:
        plain = make_tokenizer(special=())
        plain.save_pretrained(tmp_path)
        loaded = PretrainedTokenizer(path=str(tmp_path))
        assert len(loaded) == len(plain) + len(SPECIAL_TOKENS)
        assert {word: loaded.get_vocab()[word] for word in plain.get_vocab()} == plain.get_vocab()

    def test_a_folder_that_is_not_there_is_named(self) -> None:
        with pytest.raises(CheckpointError, match=r"tokenizer folder no/where does not exist; nothing is downloaded. Fetch the model"):
            PretrainedTokenizer(path="no/where")

    def test_both_are_built_by_name(self, tmp_path: Path) -> None:
        built = TOKENIZERS.build({"type": "TrainedTokenizer", "path": str(tmp_path / "words"), "corpus": [], "vocab_size": 300})
        assert "[SEG]" in built.get_vocab()
        with pytest.raises(ConfigError, match="PretrainedTokenizer has no argument 'paht'"):
            TOKENIZERS.build({"type": "PretrainedTokenizer", "paht": "x"})
