import pytest
import torch

from eocore.portable.image_memory import ImageMemory, digests


def test_what_was_not_used_for_longest_makes_room() -> None:
    memory = ImageMemory(max_bytes=100)
    for name in "abc":
        memory.keep(name, [torch.zeros(5), torch.zeros(5)])  # 40 bytes
    assert memory.find("a") is None and memory.find("b") is not None and memory.num_bytes == 80
    memory.keep("d", [torch.zeros(10)])
    assert memory.find("c") is None and memory.find("b") is not None and memory.find("d") is not None
    memory.keep("large", [torch.zeros(26)])
    assert memory.find("large") is None and memory.num_bytes == 80
    memory.keep("b", [torch.ones(20)])
    assert memory.num_bytes == 80 and memory.find("d") is None


def test_parts_are_copied_so_that_the_whole_can_go() -> None:
    memory, whole = ImageMemory(max_bytes=1000), torch.zeros(20, 10)
    memory.keep("a", [whole[3]])
    whole.fill_(1.0)
    (found,) = memory.find("a") or ()
    assert found.sum() == 0 and found.untyped_storage().nbytes() == 40


@pytest.mark.parametrize("max_bytes", [0, 10_000])
def test_each_different_image_is_encoded_once(max_bytes: int) -> None:
    memory, images = ImageMemory(max_bytes), torch.randint(0, 256, (3, 3, 4, 4), dtype=torch.uint8)
    seen: list[int] = []

    def encode(new: torch.Tensor) -> list[torch.Tensor]:
        seen.append(len(new))
        return [new.float() * 2, new.float().mean((1, 2, 3))]

    for chosen in ([0, 1, 0], [1, 2, 1], [2, 0]):
        doubled, mean = memory.encode(images[chosen], encode, kind="tile")
        assert torch.equal(doubled, images[chosen].float() * 2) and torch.equal(mean, images[chosen].float().mean((1, 2, 3)))
    assert seen == ([2, 1] if max_bytes else [2, 2, 2])


def test_it_belongs_to_one_model() -> None:
    memory, own = ImageMemory(10), torch.nn.Linear(1, 1)
    memory.check(own)
    memory.check(own)
    with pytest.raises(ValueError, match="holds what another model computed"):
        memory.check(torch.nn.Linear(1, 1))


def test_kinds_and_contents_are_told_apart() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images[1, 0, 0, 0] = 1
    assert len(set(digests(images))) == 2 and digests(images)[0] == digests(images.clone())[0]
    memory = ImageMemory(1000)
    memory.encode(images, lambda new: [new.float()], kind="tile")
    (other,) = memory.encode(images, lambda new: [new.float() + 1], kind="grounding")
    assert other.min() == 1
