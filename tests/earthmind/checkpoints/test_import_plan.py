"""Checkpoints of every kind become our model, one or several at a time; what does not fit is refused with its reason."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from earthmind.building.models import build_model
from earthmind.checkpoints.import_plan import Plan, plan_import
from earthmind.checkpoints.import_writer import write_import
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.special_tokens import SPECIAL_TOKENS
from eocore.checkpoints.composition import NEW, UNUSED
from eocore.checkpoints.exchange import ImportRequest, LoraScale
from eocore.errors import CheckpointError

RANK, ALPHA = 4, 6.0
EMBEDDING = "language_model.model.embed_tokens.weight"


def _helpers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("upstream_models", Path(__file__).with_name("upstream_models.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


external = _helpers()


def imported(request: ImportRequest, out: Path) -> dict[str, Tensor]:
    write_import(plan_import(request), out)
    return load_file(out / "model.safetensors")


def state(plan: Plan) -> dict[str, Tensor]:
    return {name: tensor.read() for name, tensor in plan.tensors.items()}


@pytest.fixture(scope="module")
def ours(our_folder: Path) -> dict[str, Tensor]:
    return load_file(our_folder / "model.safetensors")


@pytest.fixture(scope="module")
def plain_words(make_tokenizer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that has none of the special tokens yet."""
    folder = tmp_path_factory.mktemp("plain")
    make_tokenizer(special=()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam2(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return external.write_sam2(tmp_path_factory.mktemp("sam") / "sam2", tiny.model)


class TestPublished:
    def test_folder_loads_as_any_model_of_ours_and_answers(
        self, published_folder: Path, ours: dict[str, Tensor], tmp_path: Path, make_scenes: Callable[..., Any]
    ) -> None:
        found = imported(ImportRequest(sources=[published_folder]), tmp_path / "model")
        assert found.keys() == ours.keys()
        assert all(torch.equal(found[name], ours[name]) for name in ours)
        processor = EarthMindProcessor.from_pretrained(tmp_path / "model")
        model = build_model({"pretrained": str(tmp_path / "model")}, processor.tokenizer)
        assert model.config.vocabulary == plan_import(ImportRequest(sources=[published_folder])).config.vocabulary is not None
        assert (model.config.image_token_id, model.config.seg_token_id) == (processor.image_token_id, processor.seg_token_id)
        answer = model.eval().predict(make_scenes("rgb", "sar"), "segment the water", processor=processor, max_new_tokens=4)
        assert answer.masks.shape[1:] == (48, 48)

    def test_pytorch_shards_give_the_same(self, published_folder: Path, ours: dict[str, Tensor], tmp_path: Path) -> None:
        source = tmp_path / "bin"
        shutil.copytree(published_folder, source, ignore=shutil.ignore_patterns("*.safetensors"))
        torch.save(external.read(published_folder), source / "pytorch_model.bin")
        found = state(plan_import(ImportRequest(sources=[source])))
        assert all(torch.equal(found[name], ours[name]) for name in ours)

    def test_nothing_is_new_and_video_is_named(self, published_folder: Path) -> None:
        rows = plan_import(ImportRequest(sources=[published_folder])).composition.rows()
        assert {row.outcome for row in rows} == {"mapped", UNUSED}
        assert {row.part for row in rows if row.outcome == UNUSED} >= {"SAM 2 video: memory attention", "SAM 2 video: object pointers"}

    def test_a_model_whose_fusion_was_not_saved_concatenates(self, published_folder: Path, tmp_path: Path) -> None:
        tensors = external.read(published_folder)
        del tensors["local_query"]
        source = external.write(tmp_path / "sa2va", tensors, external.config_of(published_folder))
        assert plan_import(ImportRequest(sources=[source])).config.fusion == "concat"


class TestInternVL:
    """InternVL in its original layout, with SAM 2 beside it."""

    @pytest.fixture
    def source(self, published_folder: Path, plain_words: Path, make_tokenizer: Callable[..., Any], tmp_path: Path) -> Path:
        rows = len(make_tokenizer(special=()))
        return external.write_internvl(tmp_path / "InternVL", published_folder, rows=rows, tokenizer=plain_words)

    def test_parts_come_from_both_and_the_rest_is_new(self, source: Path, sam2: Path, ours: dict[str, Tensor]) -> None:
        plan = plan_import(ImportRequest(sources=[source], sam2=sam2))
        found = state(plan)
        rows = len(plan.vocabulary.tokenizer) - len(SPECIAL_TOKENS)  # type: ignore[arg-type]
        assert torch.equal(
            found["vision_tower.encoder.layer.1.attention.k_proj.weight"], ours["vision_tower.encoder.layer.1.attention.k_proj.weight"]
        )
        assert torch.equal(found[EMBEDDING][:rows], ours[EMBEDDING][:rows])
        drawn = load_file(sam2 / "model.safetensors")
        assert torch.equal(found["seg_head.sam.mask_decoder.iou_token.weight"], drawn["mask_decoder.iou_token.weight"])
        new = {row.part for row in plan.composition.rows() if row.outcome == NEW}
        assert new == {"fusion", "seg_head"}
        assert set(plan.composition.new) == {
            "fusion.queries",
            *(f"seg_head.projector.{i}.{leaf}" for i in (0, 2) for leaf in ("weight", "bias")),
        }

    def test_special_tokens_get_rows_near_the_mean(self, source: Path, sam2: Path) -> None:
        plan = plan_import(ImportRequest(sources=[source], sam2=sam2))
        words = plan.vocabulary.tokenizer
        assert words is not None
        assert [words.convert_ids_to_tokens(number) for number in plan.vocabulary.new_ids] == list(SPECIAL_TOKENS)
        embedding = plan.tensors[EMBEDDING].read()
        assert len(embedding) == len(words) == plan.config.text_config.vocab_size
        old, new = embedding[: plan.vocabulary.new_ids[0]], embedding[plan.vocabulary.new_ids[0] :]
        torch.testing.assert_close(new, old.mean(0).expand_as(new), atol=1e-3, rtol=0)
        assert len(new.unique(dim=0)) == len(new)
        assert any(note.startswith("New tokens") and "[SEG]" in note for note in plan.notes)

    def test_new_parameters_are_drawn_alike_every_time_and_as_the_model_draws_them(self, source: Path, sam2: Path, tmp_path: Path) -> None:
        first = imported(ImportRequest(sources=[source], sam2=sam2), tmp_path / "first")
        torch.manual_seed(99)
        second = imported(ImportRequest(sources=[source], sam2=sam2), tmp_path / "second")
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert abs(first["seg_head.projector.0.weight"].std().item() / 0.02 - 1) < 0.1
        assert not first["seg_head.projector.0.bias"].any()
        assert abs(first["fusion.queries"].std().item() / 32**-0.5 - 1) < 0.3

    def test_folder_is_whole(self, source: Path, sam2: Path, tmp_path: Path) -> None:
        write_import(plan_import(ImportRequest(sources=[source], sam2=sam2)), tmp_path / "model", max_shard_size="100KB")
        assert len(list(tmp_path.glob("model/model-*.safetensors"))) > 2
        _, report = EarthMindForConditionalGeneration.from_pretrained(tmp_path / "model", output_loading_info=True)
        assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))

    def test_rows_that_pad_the_table_and_belong_to_new_tokens_are_drawn_anew(
        self, published_folder: Path, plain_words: Path, sam2: Path, ours: dict[str, Tensor], tmp_path: Path
    ) -> None:
        source = external.write_internvl(tmp_path / "padded", published_folder, tokenizer=plain_words)
        plan = plan_import(ImportRequest(sources=[source], sam2=sam2))
        found = plan.tensors[EMBEDDING].read()
        assert found.shape == ours[EMBEDDING].shape
        new = list(plan.vocabulary.new_ids)
        assert len(new) == len(SPECIAL_TOKENS)
        assert not torch.isclose(found[new], ours[EMBEDDING][new]).all(dim=1).any()
        assert torch.equal(found[: new[0]], ours[EMBEDDING][: new[0]])

    def test_without_sam2_the_remedy_is_named(self, source: Path) -> None:
        with pytest.raises(CheckpointError, match=r"no source holds SAM 2, which draws the masks: give --sam2 FILE"):
            plan_import(ImportRequest(sources=[source]))

    def test_sam2_must_be_sam2(self, source: Path) -> None:
        with pytest.raises(
            CheckpointError, match=r"--sam2 .*InternVL is an InternVL folder, original layout, expected a SAM 2 file of Meta or a"
        ):
            plan_import(ImportRequest(sources=[source], sam2=source))

    @pytest.mark.parametrize(("field", "value"), [("select_layer", -4), ("ps_version", "v1"), ("force_image_size", 224)])
    def test_a_tower_read_in_another_way_is_refused(self, source: Path, sam2: Path, field: str, value: Any) -> None:
        config = {**external.config_of(source), field: value}
        external.write(source, external.read(source), config)
        with pytest.raises(CheckpointError, match=f"config.json says {field}={value!r}.*cannot be used"):
            plan_import(ImportRequest(sources=[source], sam2=sam2))

    def test_a_language_model_with_code_of_its_own_is_refused(self, source: Path, sam2: Path) -> None:
        config = external.config_of(source)
        external.write(source, external.read(source), {**config, "llm_config": {**config["llm_config"], "model_type": "internlm2"}})
        with pytest.raises(CheckpointError, match=r"'internlm2', which transformers has no class for.*Take a release with Qwen2"):
            plan_import(ImportRequest(sources=[source], sam2=sam2))


class TestLanguage:
    """Another language model in place of the one inside."""

    def test_of_the_same_width(self, published_folder: Path, our_folder: Path, ours: dict[str, Tensor], tmp_path: Path) -> None:
        other = external.write_language(tmp_path / "Qwen", vocab_size=len(ours[EMBEDDING]))
        plan = plan_import(ImportRequest(sources=[published_folder], language=other, tokenizer=our_folder))
        found, expected = state(plan), load_file(other / "model.safetensors")
        assert plan.config.text_config.num_hidden_layers == 3
        assert torch.equal(found["language_model.model.layers.2.mlp.up_proj.weight"], expected["model.layers.2.mlp.up_proj.weight"])
        assert torch.equal(found["projector.linear_1.weight"], ours["projector.linear_1.weight"])
        assert any(row.part == "language model, replaced by Qwen" for row in plan.composition.rows())
        assert not plan.composition.new

    def test_of_another_width_the_parts_between_are_new(
        self, published_folder: Path, our_folder: Path, ours: dict[str, Tensor], tmp_path: Path
    ) -> None:
        other = external.write_language(tmp_path / "Qwen", vocab_size=len(ours[EMBEDDING]), width=16)
        plan = plan_import(ImportRequest(sources=[published_folder], language=other, tokenizer=our_folder))
        assert {name.split(".")[0] for name in plan.composition.new} == {"projector", "fusion", "seg_head"}
        assert state(plan)["projector.linear_1.weight"].shape[0] == 16


class TestTraining:
    """A .pth of the upstream training, on the model that it began with."""

    @pytest.fixture
    def begun_with(self, published_folder: Path) -> dict[str, Tensor]:
        return external.read(published_folder)

    def save(self, tmp_path: Path, trained: dict[str, Tensor], name: str = "iter_3.pth") -> Path:
        torch.save({"state_dict": trained, "meta": {"iter": 3}}, tmp_path / name)
        return tmp_path / name

    def plan(self, published_folder: Path, file: Path, scale: LoraScale = LoraScale(alpha=ALPHA)) -> Plan:  # noqa: B008
        return plan_import(ImportRequest(sources=[file, published_folder], lora=scale))

    def test_lora_is_merged_as_peft_merges_it(self, published_folder: Path, begun_with: dict[str, Tensor], tmp_path: Path) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        trained = external.training_state(begun_with, rank=RANK)
        found = state(self.plan(published_folder, self.save(tmp_path, trained)))
        for name in ("layers.0.self_attn.q_proj", "layers.1.mlp.down_proj"):
            key = f"mllm.model.language_model.base_model.model.model.{name}"
            weight = begun_with[f"language_model.model.{name}.weight"]
            holder = nn.Sequential(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
            holder[0].weight.data = weight.clone()
            inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0"]), holder)  # type: ignore[arg-type]
            holder[0].lora_A["default"].weight.data = trained[f"{key}.lora_A.weight"]  # type: ignore[union-attr, index]
            holder[0].lora_B["default"].weight.data = trained[f"{key}.lora_B.weight"]  # type: ignore[union-attr, index]
            holder[0].merge()  # type: ignore[operator]
            expected = holder[0].get_base_layer().weight  # type: ignore[operator]
            torch.testing.assert_close(found[f"language_model.model.{name}.weight"], expected, atol=1e-6, rtol=0)

    def test_what_was_trained_takes_the_place_of_what_was_there(
        self, published_folder: Path, begun_with: dict[str, Tensor], ours: dict[str, Tensor], tmp_path: Path
    ) -> None:
        plan = self.plan(published_folder, self.save(tmp_path, external.training_state(begun_with, rank=RANK)))
        found = state(plan)
        assert torch.equal(found["projector.linear_1.weight"], ours["projector.linear_1.weight"] + 1)
        assert torch.equal(found["seg_head.projector.0.bias"], ours["seg_head.projector.0.bias"] + 1)
        assert torch.equal(found["seg_head.sam.mask_decoder.iou_token.weight"], ours["seg_head.sam.mask_decoder.iou_token.weight"] + 1)
        assert torch.equal(found[EMBEDDING], ours[EMBEDDING] * 2)
        assert torch.equal(found["vision_tower.embeddings.cls_token"], ours["vision_tower.embeddings.cls_token"])
        assert any(row.part.startswith("replaced by EarthMind training") for row in plan.composition.rows())

    def test_all_names_that_peft_gives_are_read(self, published_folder: Path, begun_with: dict[str, Tensor], tmp_path: Path) -> None:
        plain = external.training_state(begun_with, rank=RANK)
        wrapped = {
            name.replace(".lora_A.", ".lora_A.default.").replace(".lora_B.", ".lora_B.default."): value for name, value in plain.items()
        }
        text = "mllm.model.language_model.base_model.model.model."
        wrapped[f"{text}embed_tokens.modules_to_save.default.weight"] = wrapped.pop(f"{text}embed_tokens.weight")
        wrapped[f"{text}embed_tokens.original_module.weight"] = begun_with["language_model.model.embed_tokens.weight"]
        wrapped[f"{text}layers.0.self_attn.q_proj.base_layer.weight"] = begun_with["language_model.model.layers.0.self_attn.q_proj.weight"]
        first = state(self.plan(published_folder, self.save(tmp_path, plain)))
        second = state(self.plan(published_folder, self.save(tmp_path, wrapped, "wrapped.pth")))
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_rows_trained_for_the_special_tokens_stay(
        self,
        published_folder: Path,
        begun_with: dict[str, Tensor],
        plain_words: Path,
        sam2: Path,
        make_tokenizer: Callable[..., Any],
        tmp_path: Path,
    ) -> None:
        """The training added its tokens to InternVL's; here they get the same rows."""
        base = external.write_internvl(tmp_path / "InternVL", published_folder, rows=len(make_tokenizer(special=())), tokenizer=plain_words)
        trained = external.training_state(begun_with, rank=RANK)
        plan = plan_import(ImportRequest(sources=[base, self.save(tmp_path, trained)], sam2=sam2, lora=LoraScale(ALPHA)))
        assert plan.vocabulary.new_ids == ()
        assert torch.equal(plan.tensors[EMBEDDING].read(), begun_with["language_model.model.embed_tokens.weight"] * 2)
        assert plan.composition.new.keys() == {"fusion.queries"}  # the upstream training does not save it

    def test_a_rank_that_is_not_the_trained_one_is_refused(
        self, published_folder: Path, begun_with: dict[str, Tensor], tmp_path: Path
    ) -> None:
        file = self.save(tmp_path, external.training_state(begun_with, rank=RANK))
        with pytest.raises(CheckpointError, match=r"LoRA rank mismatch in language_model\.model\.layers.*A is \[4, .*--lora-rank says 128"):
            self.plan(published_folder, file, LoraScale(alpha=256, rank=128))

    def test_factors_of_two_ranks_are_refused(self, published_folder: Path, begun_with: dict[str, Tensor], tmp_path: Path) -> None:
        trained = external.training_state(begun_with, rank=RANK)
        name = next(name for name in trained if "lora_B" in name)
        with pytest.raises(CheckpointError, match="LoRA rank mismatch"):
            self.plan(published_folder, self.save(tmp_path, {**trained, name: trained[name][:, :2]}))

    def test_a_factor_alone_is_refused(self, published_folder: Path, begun_with: dict[str, Tensor], tmp_path: Path) -> None:
        trained = external.training_state(begun_with, rank=RANK)
        del trained[next(name for name in trained if "lora_B" in name)]
        with pytest.raises(CheckpointError, match="lacks its factor B"):
            self.plan(published_folder, self.save(tmp_path, trained))

    def test_the_scale_must_be_given(self, published_folder: Path, begun_with: dict[str, Tensor], tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"LoRA update of rank 4 that is not merged.*--lora-alpha 256"):
            self.plan(published_folder, self.save(tmp_path, external.training_state(begun_with, rank=RANK)), LoraScale())

    def test_the_model_it_began_with_must_be_given(self, begun_with: dict[str, Tensor], tmp_path: Path) -> None:
        file = self.save(tmp_path, external.training_state(begun_with, rank=RANK))
        with pytest.raises(CheckpointError, match="no source holds the vision tower"):
            plan_import(ImportRequest(sources=[file], lora=LoraScale(ALPHA)))


class TestWrong:
    def test_a_flipped_shape_is_shown_with_the_table(self, published_folder: Path, tmp_path: Path) -> None:
        tensors = external.read(published_folder)
        tensors["mlp1.1.weight"] = tensors["mlp1.1.weight"].T.contiguous()
        source = external.write(tmp_path / "flipped", tensors, external.config_of(published_folder))
        with pytest.raises(
            CheckpointError,
            match=r"(?s)1 of another shape\. Nothing was written.*projector\.linear_1\.weight is \[128, 32\], the model has \[32, 128\]",
        ):
            plan_import(ImportRequest(sources=[source]))

    def test_a_tensor_too_many_and_one_too_few_are_named(self, published_folder: Path, tmp_path: Path) -> None:
        tensors = external.read(published_folder)
        tensors["vision_model.extra.weight"] = tensors.pop("text_hidden_fcs.0.weight")
        source = external.write(tmp_path / "other", tensors, external.config_of(published_folder))
        with pytest.raises(CheckpointError, match=r"(?s)1 unexpected.*unexpected: vision_model\.extra\.weight \[32, 32\]"):
            plan_import(ImportRequest(sources=[source]))

    def test_a_missing_tensor_is_not_made_up(self, published_folder: Path, tmp_path: Path) -> None:
        tensors = external.read(published_folder)
        del tensors["vision_model.encoder.layers.1.ls2"]
        source = external.write(tmp_path / "other", tensors, external.config_of(published_folder))
        with pytest.raises(CheckpointError, match=r"(?s)1 missing.*missing: vision_tower\.encoder\.layer\.#\.lambda_# \[32\]"):
            plan_import(ImportRequest(sources=[source]))

    def test_an_unknown_layout_is_described(self, tmp_path: Path) -> None:
        save_file({"encoder.conv.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
        with pytest.raises(
            CheckpointError, match=r"(?s)of no known layout: 1 tensors that begin with encoder\.conv\. Known layouts.*internvl: "
        ):
            plan_import(ImportRequest(sources=[tmp_path]))

    def test_our_own_layout_needs_no_import(self, our_folder: Path) -> None:
        with pytest.raises(CheckpointError, match=r"in this project's layout already.*model\.pretrained"):
            plan_import(ImportRequest(sources=[our_folder]))

    def test_a_missing_config_is_named(self, published_folder: Path, tmp_path: Path) -> None:
        shutil.copy(published_folder / "model.safetensors", tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"config\.json is not there; the names are those of an upstream EarthMind"):
            plan_import(ImportRequest(sources=[tmp_path]))

    def test_a_broken_config_is_named(self, published_folder: Path, tmp_path: Path) -> None:
        shutil.copy(published_folder / "model.safetensors", tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"config\.json is no JSON"):
            plan_import(ImportRequest(sources=[tmp_path]))

    def test_sizes_that_make_no_model_are_refused(self, published_folder: Path, tmp_path: Path) -> None:
        config = external.config_of(published_folder)
        config["llm_config"] |= {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 2}
        source = external.write(tmp_path / "other", external.read(published_folder), config)
        with pytest.raises(CheckpointError, match=r"the sizes in config\.json make no model: .*Take the file of the release"):
            plan_import(ImportRequest(sources=[source]))

    def test_rows_and_config_that_disagree_are_refused(self, published_folder: Path, tmp_path: Path) -> None:
        config = external.config_of(published_folder)
        config["llm_config"]["vocab_size"] += 3
        source = external.write(tmp_path / "other", external.read(published_folder), config)
        with pytest.raises(
            CheckpointError, match=r"vocabulary mismatch: the token embedding of .* has \d+ rows, its config\.json says \d+"
        ):
            plan_import(ImportRequest(sources=[source]))

    def test_a_tokenizer_with_more_tokens_than_rows_is_refused(self, published_folder: Path, tiny: Any, tmp_path: Path) -> None:
        words = tiny.tokenizer.from_pretrained(published_folder)
        words.add_tokens(["<a>", "<b>"])
        words.save_pretrained(tmp_path)
        with pytest.raises(CheckpointError, match=r"vocabulary mismatch: .* the last 2 tokens have no row"):
            plan_import(ImportRequest(sources=[published_folder], tokenizer=tmp_path))

    def test_a_tokenizer_without_the_trained_tokens_is_refused(self, published_folder: Path, plain_words: Path) -> None:
        with pytest.raises(
            CheckpointError, match=r"vocabulary mismatch: the model was trained with <IMG_CONTEXT>, \[SEG\], which the tokenizer"
        ):
            plan_import(ImportRequest(sources=[published_folder], tokenizer=plain_words))

    def test_an_id_that_differs_is_refused(self, published_folder: Path, tmp_path: Path) -> None:
        config = external.config_of(published_folder)
        config["seg_token_id"] -= 1
        source = external.write(tmp_path / "other", external.read(published_folder), config, tokenizer=published_folder)
        with pytest.raises(CheckpointError, match=r"vocabulary mismatch: \[SEG\] is \d+ for the tokenizer, but .* learned it as \d+"):
            plan_import(ImportRequest(sources=[source]))

    def test_a_head_that_is_called_tied_but_is_not_is_refused(self, published_folder: Path, tmp_path: Path) -> None:
        tensors = external.read(published_folder)
        tensors["language_model.lm_head.weight"] = tensors["language_model.model.embed_tokens.weight"] + 1
        source = external.write(tmp_path / "other", tensors, external.config_of(published_folder))
        with pytest.raises(CheckpointError, match=r"says that head and token embedding are one, but .* differ"):
            write_import(plan_import(ImportRequest(sources=[source])), tmp_path / "out")
        assert not (tmp_path / "out").exists()
