import pytest
import torch
from image_chat import make_model

from eocore.portable.language_holder import put_embeddings


def test_embeddings_go_to_their_placeholders_and_gradients_come_back() -> None:
    embeddings, tokens = torch.zeros(2, 3, 4, requires_grad=True), torch.ones(2, 4, dtype=torch.float64, requires_grad=True)
    merged = put_embeddings(embeddings, torch.tensor([1, 5]), tokens=tokens)
    assert merged[0, 1].eq(1).all() and merged[1, 2].eq(1).all() and merged.sum() == 8 and merged.dtype == torch.float32
    merged.sum().backward()
    assert tokens.grad is not None and tokens.grad.eq(1).all()
    assert embeddings.grad is not None and embeddings.grad.flatten(0, 1)[[1, 5]].eq(0).all()


def test_unequal_numbers_are_an_error() -> None:
    with pytest.raises(ValueError, match="1 placeholders in the text, 2 vision tokens to fill them; they must be equally many"):
        put_embeddings(torch.zeros(1, 3, 4), torch.tensor([1]), tokens=torch.zeros(2, 4))


def test_tables_of_positions_stay_exact_and_tables_of_words_are_the_language_model_s() -> None:
    model = make_model(40).bfloat16()
    assert model.get_input_embeddings() is model.language_model.get_input_embeddings()
    assert model.get_output_embeddings() is model.language_model.get_output_embeddings()
    assert model.language_model.model.rotary_emb.inv_freq.dtype == torch.float32 and model.dtype == torch.bfloat16
