"""The task: samples weigh alike however they lie in rows and batches, losses reach the parts they judge, the loader keeps its order."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tolerances import GRADIENTS_ACROSS_LAYOUTS, LOSSES_ACROSS_LAYOUTS
from torch import Tensor
from torch.utils._pytree import tree_leaves

from earthmind.losses import count_items
from earthmind.model.batching import Batch, Sample
from earthmind.task import EarthMindTask
from eocore.distributed import mean_items
from eocore.errors import ConfigError
from eocore.models.recompute import KINDS
from eocore.portable.packed_attention import PACKED
from eocore.registry import TASKS
from eocore.synthetic.world import write_world

LOSSES = ("loss_text", "loss_mask", "loss_dice", "loss_attention", "loss_alignment")
POINTS = {"num_points": 64}
SEGMENT = "<image>\nPlease segment it."


@pytest.fixture(scope="module")
def task(make_task: Callable[..., EarthMindTask]) -> EarthMindTask:
    """Leave it as it is."""
    return make_task(losses=POINTS)


@pytest.fixture
def samples(task: EarthMindTask, make_scenes: Callable[..., Any], square_mask: np.ndarray) -> list[Sample]:
    """No image, one image, a pair with two masks, and one mask beside a region."""
    encode = task.processor.encode
    made = [
        encode({}, [("user", "Hello"), ("assistant", "water and more of it")], masks=[]),
        encode(make_scenes("rgb"), [("user", "<image>\nWhat?"), ("assistant", "It is.")], masks=[]),
        encode(make_scenes("rgb", "sar"), [("user", SEGMENT), ("assistant", "[SEG] and [SEG]")], masks=[square_mask, ~square_mask]),
        encode(
            make_scenes("multispectral", seed=3),
            [("user", "<image>\n<region>?"), ("assistant", "[SEG]")],
            regions=[square_mask],
            masks=[square_mask.T],
        ),
    ]
    return [sample._replace(seed=number) for number, sample in enumerate(made)]


def losses_of(task: EarthMindTask, samples: Sequence[Sample], **layout: Any) -> dict[str, Tensor]:
    outputs = task(task.collator(**layout)(samples))
    return {name: outputs[name] for name in LOSSES}


def test_samples_have_a_position_for_each_token(make_task: Callable[..., EarthMindTask]) -> None:
    with pytest.raises(ConfigError, match=r"task.max_length is 1025, but the language model has positions for 1024 tokens.* at most 1024"):
        make_task(max_length=1025)
    assert make_task(max_length=1025, row_length=900).max_length == 900, "a row has room for no more"
    assert make_task().max_length == 1024, "the default of 8192 is the model's"


class TestSamples:
    @pytest.mark.parametrize("row_length", [None, 60, 500])
    @torch.no_grad()
    def test_a_batch_is_the_mean_of_its_samples(self, task: EarthMindTask, samples: list[Sample], row_length: int | None) -> None:
        together = losses_of(task, samples, row_length=row_length)
        alone = [losses_of(task, [sample]) for sample in samples]
        for name in LOSSES:
            expected = torch.stack([losses[name] for losses in alone]).mean()
            torch.testing.assert_close(together[name], expected, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
            assert expected > 0, name

    @torch.no_grad()
    def test_their_order_makes_no_difference(self, task: EarthMindTask, samples: list[Sample]) -> None:
        forward, backward = losses_of(task, samples), losses_of(task, samples[::-1], row_length=500)
        for name in LOSSES:
            torch.testing.assert_close(forward[name], backward[name], rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_what_is_counted(self, task: EarthMindTask, samples: list[Sample]) -> None:
        outputs = task(task.collator(row_length=500)(samples))
        assert outputs["num_samples"] == 4
        assert outputs["num_tokens"] == sum(len(sample.input_ids) for sample in samples)
        assert outputs["num_masks"] == 3
        assert 0.0 <= outputs["token_accuracy"] <= 1.0

    @torch.no_grad()
    def test_token_accuracy_is_the_share_of_scored_tokens_that_are_likeliest(self, make_task: Callable[..., EarthMindTask]) -> None:
        task = make_task(losses=POINTS)
        batch = task.collator()([task.processor.encode({}, [("user", "Hello"), ("assistant", "water")], masks=[])])
        likeliest = task.model(batch=batch).logits.argmax(-1)
        batch.supervised.targets[1:] = likeliest[1:]
        batch.supervised.targets[0] = (likeliest[0] + 1) % 300
        assert task(batch)["token_accuracy"].item() == pytest.approx(1 - 1 / len(likeliest))

    @pytest.mark.parametrize("sensor", ["rgb", "sar"])
    @torch.no_grad()
    def test_each_sensor_of_a_pair_changes_the_answer(
        self, task: EarthMindTask, make_scenes: Callable[..., Any], square_mask: np.ndarray, sensor: str
    ) -> None:
        scenes = make_scenes("rgb", "sar")
        other = {**scenes, sensor: make_scenes("rgb", "sar", seed=5)[sensor]}
        turns = [("user", SEGMENT), ("assistant", "[SEG]")]
        first, second = (losses_of(task, [task.processor.encode(shown, turns, masks=[square_mask])]) for shown in (scenes, other))
        assert abs(first["loss_text"] - second["loss_text"]) > 1e-3

    def test_places_and_features_that_disagree_are_refused(self, task: EarthMindTask, samples: list[Sample]) -> None:
        batch = task.collator()(samples)
        batch = batch._replace(vision=batch.vision._replace(vision_index=batch.vision.vision_index[1:]))
        with pytest.raises(ValueError, match=r"(\d+) placeholders in the text, \d+ vision tokens to fill them; they must be equally many"):
            task(batch)


class TestGradients:
    ENDS = {  # noqa: RUF012 (read alone)
        "text": {"language_model.model.layers.1", "vision_tower", "projector", "fusion"},
        "mask": {
            "language_model.model.layers.1",
            "vision_tower",
            "seg_head.projector",
            "seg_head.sam.mask_decoder",
            "seg_head.sam.vision_encoder",
        },
        "dice": {
            "language_model.model.layers.1",
            "vision_tower",
            "seg_head.projector",
            "seg_head.sam.mask_decoder",
            "seg_head.sam.vision_encoder",
        },
        "attention": {"language_model.model.layers.1.self_attn.q_proj", "language_model.model.layers.0", "vision_tower", "projector"},
        "alignment": {"vision_tower", "projector"},
    }
    SPARED = {  # noqa: RUF012 (read alone)
        "text": {"seg_head"},
        "mask": set(),
        "dice": set(),
        "attention": {"seg_head", "language_model.model.layers.1.mlp", "language_model.model.layers.1.self_attn.v_proj"},
        "alignment": {"seg_head", "language_model", "fusion"},
    }

    @pytest.mark.parametrize("kept", list(ENDS))
    def test_each_loss_reaches_the_parts_it_judges_and_no_others(
        self, make_task: Callable[..., EarthMindTask], samples: list[Sample], kept: str
    ) -> None:
        weights = dict.fromkeys(("text", "mask", "dice", "attention", "alignment"), 0.0) | {kept: 1.0}
        task = make_task(losses={**POINTS, **weights})
        outputs = task(task.collator()(samples))
        task.parse_losses(outputs)[0].backward()
        reached = {name.removeprefix("model."): bool(part.grad is not None and part.grad.any()) for name, part in task.named_parameters()}
        for part in self.ENDS[kept]:
            assert any(hit for name, hit in reached.items() if name.startswith(part)), part
        for part in self.SPARED[kept]:
            assert not any(hit for name, hit in reached.items() if name.startswith(part)), part

    def test_recomputing_activations_changes_no_gradient(self, make_task: Callable[..., EarthMindTask], samples: list[Sample]) -> None:
        gradients = {}
        for kind in KINDS:
            task = make_task(losses=POINTS, gradient_checkpointing=kind).train()
            task.parse_losses(task(task.collator()(samples)))[0].backward()
            gradients[kind] = {name: part.grad for name, part in task.named_parameters() if part.grad is not None}
        for kind in KINDS[1:]:
            assert set(gradients["none"]) == set(gradients[kind])
            for name, gradient in gradients["none"].items():
                torch.testing.assert_close(gradients[kind][name], gradient, msg=lambda text, name=name: f"{name}: {text}")


class TestWhatIsTrained:
    def test_lora_comes_on_top_of_the_patterns(self, make_task: Callable[..., EarthMindTask]) -> None:
        patterns = ["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder"]
        task = make_task(trainable=patterns, lora={"rank": 2, "alpha": 4, "dropout": 0.0})
        trained = {name.removeprefix("model.") for name, part in task.named_parameters() if part.requires_grad}
        adapters = {name for name in trained if ".lora_" in name}
        assert adapters and all(name.startswith("language_model.") for name in adapters)
        assert all(name.startswith(tuple(patterns)) for name in trained - adapters)
        assert {name.split(".")[0] for name in trained - adapters} == {"projector", "fusion", "seg_head"}

    def test_a_pattern_that_matches_nothing_is_named(self, make_task: Callable[..., EarthMindTask]) -> None:
        with pytest.raises(ConfigError, match="trainable pattern 'projektor' matches no parameter"):
            make_task(trainable=["projektor"])

    def test_a_misspelt_loss_option_is_named(self, make_task: Callable[..., EarthMindTask]) -> None:
        with pytest.raises(ConfigError, match=r"config section 'losses' has no option 'dices'. Did you mean 'dice'"):
            make_task(losses={"dices": 1.0})

    def test_a_misspelt_argument_is_named(self) -> None:
        with pytest.raises(ConfigError, match=r"EarthMindTask has no argument 'batchsize'. Did you mean 'batch_size'"):
            TASKS.build({"type": "EarthMindTask", "batchsize": 3})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 3}, size=48)
    return root / "train"


def question_data(world: Path) -> dict[str, Any]:
    images = {
        "multispectral": {"root": str(world / "multispectral"), "sensor": "sentinel2_l2a"},
        "sar": {"root": str(world / "sar"), "sensor": "sentinel1_grd"},
    }
    choose = {"type": "ChooseModalities", "settings": {"optical": ["multispectral"], "fused": ["multispectral", "sar"]}}
    return {"type": "LlavaDataset", "annotations": str(world / "vqa.json"), "images": images, "transforms": [choose]}


class TestLoader:
    @pytest.fixture
    def build(self, make_task: Callable[..., EarthMindTask], world: Path) -> Callable[..., EarthMindTask]:
        return lambda **choices: make_task(**{"data": question_data(world), "num_workers": 0, "losses": POINTS, **choices})

    def ids(self, task: EarthMindTask, steps: int, *, rank: int = 0, world_size: int = 1, start_step: int = 0) -> list[list[str]]:
        loader = iter(task.build_loader(rank=rank, world_size=world_size, seed=0, start_step=start_step))
        return [next(loader).sample_ids for _ in range(steps)]

    @pytest.mark.parametrize("length_window", [None, 2])
    def test_ranks_share_the_batch_one_rank_would_take(self, build: Callable[..., EarthMindTask], length_window: int | None) -> None:
        whole = self.ids(build(batch_size=4, length_window=length_window), 4)
        parts = [self.ids(build(batch_size=2, length_window=length_window), 4, rank=rank, world_size=2) for rank in (0, 1)]
        assert [sorted(batch) for batch in whole] == [sorted(first + second) for first, second in zip(*parts, strict=True)]

    def test_a_later_start_continues_in_the_same_order(self, build: Callable[..., EarthMindTask]) -> None:
        task = build(batch_size=2)
        assert self.ids(task, 3, start_step=4) == self.ids(task, 7)[4:]

    def test_a_sample_is_the_same_whoever_prepares_it(self, build: Callable[..., EarthMindTask]) -> None:
        here, worker = (
            next(iter(build(batch_size=4, num_workers=n).build_loader(rank=0, world_size=1, seed=0, start_step=0))) for n in (0, 1)
        )
        assert here.sample_ids == worker.sample_ids
        tensors = [[leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)] for batch in (here, worker)]
        assert len(tensors[0]) > 10
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(*tensors, strict=True))

    def test_its_batches_can_be_trained_on(self, build: Callable[..., EarthMindTask]) -> None:
        task = build(batch_size=4, row_length=200)
        batch = next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))
        assert batch.input_ids.shape[0] < 4, "packed"
        total, _ = task.parse_losses(task(batch))
        total.backward()
        assert torch.isfinite(total)

    def test_without_data_there_is_no_loader(self, make_task: Callable[..., EarthMindTask]) -> None:
        with pytest.raises(ConfigError, match="registry 'dataset': expected a mapping with a 'type', found NoneType"):
            make_task().build_loader(rank=0, world_size=1, seed=0, start_step=0)


class TestPacking:
    """Samples in packs weigh as they do alone; see tests/eocore/data/test_packing.py for which samples share one."""

    PACKING = {"max_tokens": 400, "max_mask_images": 2, "folder": None}  # noqa: RUF012 (read alone)

    def gradients(self, task: EarthMindTask, batches: Sequence[Batch]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and gradients of an update over `batches`, as the loop and DeepSpeed make them: shared counts, mean over batches."""
        counts = mean_items([count_items(batch) for batch in batches])
        task.zero_grad()
        total = sum(task.parse_losses(task(batch, num_items_in_batch=counts))[0] for batch in batches) / len(batches)
        total.backward()
        return total.detach(), {name: part.grad.clone() for name, part in task.named_parameters() if part.grad is not None}

    @pytest.mark.parametrize("text_mean", ["samples", "tokens"])
    @pytest.mark.parametrize("deal", [[[0, 1, 2, 3]], [[2, 0], [1, 3]], [[3, 1, 0], [2]], [[2], [0, 1, 3], [1]]], ids=str)
    def test_any_packing_gives_the_loss_and_gradients_of_one_sample_at_a_time(
        self, make_task: Callable[..., EarthMindTask], samples: list[Sample], text_mean: str, deal: list[list[int]]
    ) -> None:
        task = make_task(losses={**POINTS, "text_mean": text_mean})
        alone = [task.collator()([samples[index]]) for pack in deal for index in pack]
        packed = [task.collator(row_length=400)([samples[index] for index in pack]) for pack in deal]
        (expected, wanted), (found, gradients) = self.gradients(task, alone), self.gradients(task, packed)
        torch.testing.assert_close(found, expected, **LOSSES_ACROSS_LAYOUTS.close)
        assert set(gradients) == set(wanted)
        for name, gradient in wanted.items():
            close = GRADIENTS_ACROSS_LAYOUTS.of_size(gradient, floor=0.1)
            torch.testing.assert_close(gradients[name], gradient, **close, msg=lambda text, name=name: f"{name}: {text}")

    @pytest.mark.parametrize("kernel", ["eager", "sdpa"])
    def test_the_attention_kernel_changes_nothing(
        self, make_task: Callable[..., EarthMindTask], samples: list[Sample], kernel: str
    ) -> None:
        results = []
        for chosen in (None, kernel):
            task = make_task(losses=POINTS)
            assert task.model.language_model.config._attn_implementation == PACKED
            if chosen is not None:
                task.model.language_model.set_attn_implementation(chosen)
            results.append(self.gradients(task, [task.collator(row_length=400)(samples)]))
        torch.testing.assert_close(results[0][0], results[1][0], **LOSSES_ACROSS_LAYOUTS.close)
        for name, gradient in results[1][1].items():
            torch.testing.assert_close(results[0][1][name], gradient, **GRADIENTS_ACROSS_LAYOUTS.of_size(gradient, floor=0.1))

    def test_the_mean_over_tokens_weighs_long_answers_more(self, make_task: Callable[..., EarthMindTask], samples: list[Sample]) -> None:
        task = make_task(losses={**POINTS, "text_mean": "tokens"})
        with torch.no_grad():
            batch = task.collator()(samples)
            logits = task.model(batch=batch).logits
            expected = torch.nn.functional.cross_entropy(logits, batch.supervised.targets)
            torch.testing.assert_close(task(batch)["loss_text"], expected)

    def test_full_rows_have_one_shape_and_the_same_loss(self, task: EarthMindTask, samples: list[Sample]) -> None:
        full = task.collator(row_length=500, full_rows=True)(samples)
        assert full.input_ids.shape == (1, 500)
        with torch.no_grad():
            torch.testing.assert_close(task(full)["loss_text"], losses_of(task, samples, row_length=500)["loss_text"])

    def test_a_loader_gives_packs(self, make_task: Callable[..., EarthMindTask], world: Path) -> None:
        task = make_task(data=question_data(world), num_workers=0, packing={**self.PACKING, "max_tokens": 120}, losses=POINTS)
        loader = task.build_loader(rank=0, world_size=1, seed=0, start_step=0)
        sampler: Any = loader.batch_sampler
        batches = [batch for _, batch in zip(range(len(sampler.cuts(0)) - 1), loader, strict=False)]
        assert all(batch.input_ids.shape[0] == 1 and batch.input_ids.shape[1] <= 120 for batch in batches)
        assert sum(batch.num_samples for batch in batches) == len(loader.dataset)  # type: ignore[arg-type]
        sizes = sampler.sizes(0)
        for packs, batch in zip(sampler.epoch_packs(0), batches, strict=True):
            assert sizes[packs[0], 0].sum() == batch.num_tokens and sizes[packs[0], 4].sum() == batch.num_supervised
        total, _ = task.parse_losses(task(batches[0]))
        total.backward()

    def test_ranks_divide_the_step_and_a_later_start_continues(self, make_task: Callable[..., EarthMindTask], world: Path) -> None:
        task = make_task(
            data=question_data(world), num_workers=0, packing={**self.PACKING, "max_tokens": 120, "together": 2}, losses=POINTS
        )

        def ids(steps: int, *, rank: int, world_size: int, start_step: int = 0) -> list[list[str]]:
            loader = iter(task.build_loader(rank=rank, world_size=world_size, seed=0, start_step=start_step))
            return [next(loader).sample_ids for _ in range(steps)]

        alone, ranks = ids(6, rank=0, world_size=1), [ids(3, rank=rank, world_size=2) for rank in (0, 1)]
        assert alone == [pack for packs in zip(*ranks, strict=True) for pack in packs]
        assert ids(2, rank=0, world_size=1, start_step=4) == alone[4:]

    def test_two_ways_to_share_rows_are_refused(self, make_task: Callable[..., EarthMindTask]) -> None:
        with pytest.raises(ConfigError, match=r"task\.packing decides which samples share a row: leave batch_size at 1"):
            make_task(packing=self.PACKING, batch_size=2)


class TestIndependentQuestions:
    """A sample of independent questions is worth as many samples of one question each."""

    ASKED = (("\nWhat is there?", "It is water."), ("\nPlease segment it.", "[SEG] it lies north"), ("<region>?", "grass [SEG] and"))

    @pytest.fixture
    def encode(
        self, task: EarthMindTask, make_scenes: Callable[..., Any], square_mask: np.ndarray
    ) -> Callable[[Sequence[tuple[str, str]], bool], Sample]:
        scenes = make_scenes("rgb", "sar")

        def encode(asked: Sequence[tuple[str, str]], independent: bool) -> dict[str, Any]:
            turns = [turn for question, answer in asked for turn in (("user", question), ("assistant", answer))]
            turns[0] = ("user", "<image>" + turns[0][1])
            regions, masks = ([square_mask] * sum(mark in text for _, text in turns) for mark in ("<region>", "[SEG]"))
            return task.processor.encode(scenes, turns, regions=regions, masks=masks, independent=independent)._replace(seed=0)

        return encode

    def learn(self, task: EarthMindTask, samples: Sequence[Sample], **layout: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses, and the gradients of that of the text."""
        task.zero_grad()
        batch = task.collator(**layout)(samples)
        outputs = task(batch)
        outputs["loss_text"].backward()
        return outputs, {name: part.grad.clone() for name, part in task.named_parameters() if part.grad is not None}

    @pytest.mark.parametrize("layout", [{}, {"row_length": 400}], ids=["own row", "packed"])
    def test_losses_and_gradients_are_those_of_single_questions(
        self, make_task: Callable[..., EarthMindTask], encode: Callable[..., Sample], layout: dict[str, Any]
    ) -> None:
        task = make_task(losses={**POINTS, "text_mean": "tokens"})
        other = encode([("\nAnything else?", "no")], False)
        single, wanted = self.learn(task, [*(encode([asked], False) for asked in self.ASKED), other])
        joined, gradients = self.learn(task, [encode(self.ASKED, True), other], **layout)
        assert joined["num_tokens"] < 0.75 * single["num_tokens"]
        torch.testing.assert_close(joined["loss_text"], single["loss_text"], **LOSSES_ACROSS_LAYOUTS.close)
        # the mean over the masks of a sample, then over the samples: half of 1 of 2, a quarter each of 2 of 4
        torch.testing.assert_close(joined["loss_attention"], single["loss_attention"], rtol=1e-4, atol=0)
        assert set(gradients) == set(wanted)
        for name, gradient in wanted.items():
            close = GRADIENTS_ACROSS_LAYOUTS.of_size(gradient, floor=0.1)
            torch.testing.assert_close(gradients[name], gradient, **close, msg=lambda text, name=name: f"{name}: {text}")

    def test_those_of_a_dialogue_are_not(self, task: EarthMindTask, encode: Callable[..., Sample]) -> None:
        apart, seen = (task(task.collator()([encode(self.ASKED, independent)])) for independent in (True, False))
        assert abs(apart["loss_text"] - seen["loss_text"]) > 1e-3 * seen["loss_text"]

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs a C++ compiler")
    def test_compiled_layers_keep_them_apart(self, make_task: Callable[..., EarthMindTask], encode: Callable[..., Sample]) -> None:
        torch._dynamo.reset()
        samples = [encode(self.ASKED, True), encode(self.ASKED[:2], True)]
        (plain, wanted), (compiled, gradients) = (
            self.learn(make_task(losses=POINTS, compile=choice), samples) for choice in ("none", "dynamic")
        )
        torch.testing.assert_close(compiled["loss_text"], plain["loss_text"], rtol=1e-4, atol=0)
        assert set(gradients) == set(wanted)
        for name, gradient in wanted.items():
            close = {"atol": 1e-3 * max(gradient.abs().max().item(), 0.1), "rtol": 0}
            torch.testing.assert_close(gradients[name], gradient, **close, msg=lambda text, name=name: f"{name}: {text}")

    @torch.no_grad()
    def test_a_kernel_that_would_mix_them_is_refused(self, make_task: Callable[..., EarthMindTask], encode: Callable[..., Sample]) -> None:
        task = make_task(losses=POINTS)
        task.model.language_model.set_attn_implementation("eager")
        task(task.collator()([encode(self.ASKED[:1], False)]))
        with pytest.raises(ConfigError, match="independent questions need full attention on sdpa, found 'eager'"):
            task(task.collator()([encode(self.ASKED, True)]))
