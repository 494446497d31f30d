import torch

from aerith.model.batching import Images, Sample, collate
from eocore.portable.prompt_batching import EncodedPrompt


def sample(count: int, fault: str = "") -> Sample:
    ids = torch.arange(4)
    prompt = EncodedPrompt(f"s{count}", ids, ids, torch.arange(2 * count), [])
    images = Images(torch.full((count, 3, 4, 4), 7, dtype=torch.uint8), torch.full((count, 3, 6, 6), 8, dtype=torch.uint8))
    return Sample(prompt, images, (fault,) if fault else ())


def test_images_and_faults_of_all_samples() -> None:
    batch = collate([sample(1, "broken"), sample(0)], pad_token_id=0)
    assert batch.images.clip.shape == (1, 3, 4, 4) and batch.images.dinov3.shape == (1, 3, 6, 6) and not batch.images.is_dummy
    assert batch.sample_ids == ["s1", "s0"] and batch.faults == ("broken",) and batch.prompts.placeholders.tolist() == [0, 1]
    assert batch.to("cpu").images.clip.dtype == torch.uint8


def test_a_dummy_is_black_and_only_where_it_is_asked_for() -> None:
    assert len(collate([sample(0)], pad_token_id=0).images.clip) == 0
    images = collate([sample(0)], pad_token_id=0, with_dummy=True).images
    assert images.is_dummy and images.clip.shape == (1, 3, 4, 4) and not images.dinov3.any()
