"""Parts from folders: OlmoEarth's releases through the package, language models, models of our layout, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("olmoearth_pretrain_minimal")
from olmoearth_pretrain_minimal import OlmoEarthPretrain_v1
from transformers import PhiConfig, PhiForCausalLM

from earthfm.model.sensor_inputs import SENSORS
from earthfm.pretrained import read_encoder, read_pretrained
from eocore.errors import CheckpointError, ConfigError

OTHERS = ["worldcover", "srtm"]


def write_release(folder: Path, version: str) -> Any:
    """A folder as OlmoEarth publishes them, with random weights of nano."""
    names = [*SENSORS, *OTHERS]
    model = OlmoEarthPretrain_v1("nano", version, supported_modality_names=names).model  # type: ignore[arg-type]
    own = "olmoearth_pretrain.nn."
    sizes = {"embedding_size": 128, "num_heads": 8, "depth": 4, "mlp_ratio": 4.0, "max_patch_size": 8, "drop_path": 0.1}
    encoder = {"_CLASS_": f"{own}flexi_vit.EncoderConfig", "supported_modality_names": names, "max_sequence_length": 12, **sizes}
    decoder = {
        "_CLASS_": f"{own}flexi_vit.PredictorConfig",
        "supported_modality_names": names,
        "max_sequence_length": 12,
        "encoder_embedding_size": 128,
        "decoder_embedding_size": 128,
        "depth": 4,
        "num_heads": 8,
        "mlp_ratio": 4.0,
    }
    content = {
        "model": {"_CLASS_": f"{own}latent_mim.LatentMIMConfig", "encoder_config": encoder, "decoder_config": decoder},
        "train_module": {"masking_config": {"strategy_config": {"only_decode_modalities": OTHERS}}},
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))
    torch.save(model.state_dict(), folder / "weights.pth")
    return model


def test_a_release_becomes_the_encoder(make_task: Callable[..., Any], make_fields: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "OlmoEarth-v1-Nano"
    released = write_release(folder, "v1")
    model = {name: value for name, value in make_fields()["model"].items() if name != "encoder"}
    made = make_task(model={**model, "encoder_weights": str(folder)}).model
    state = released.encoder.state_dict()
    found = made.encoder.state_dict()
    assert found and all(torch.equal(value, state[name.removeprefix("model.")]) for name, value in found.items())
    assert made.config.encoder_source.startswith("OlmoEarth-v1-Nano:") and made.config.encoder_sizes.version == "v1"
    with pytest.raises(ConfigError, match=r"model\.encoder: decided by"):
        make_task(model={**model, "encoder": {"size": "nano"}, "encoder_weights": str(folder)})


def test_releases_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    write_release(folder, "v1")
    content = json.loads((folder / "config.json").read_text())
    content["model"]["decoder_config"]["_CLASS_"] = "subprocess.Popen"
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"names the class 'subprocess\.Popen', which is not OlmoEarth's; nothing was loaded"):
        read_encoder(folder)
    write_release(folder, "v1")
    torch.save({"a": torch.zeros(1)}, folder / "weights.pth")
    with pytest.raises(CheckpointError, match="is no release of OlmoEarth"):
        read_encoder(folder)
    (folder / "weights.pth").unlink()
    with pytest.raises(CheckpointError, match=r"holds no weights\.pth"):
        read_encoder(folder)


def test_a_language_model_keeps_its_weights(make_task: Callable[..., Any], make_fields: Callable[..., Any], tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    language = PhiForCausalLM(PhiConfig(vocab_size=400, **sizes))
    language.save_pretrained(tmp_path)
    model = {name: value for name, value in make_fields()["model"].items() if name != "text_config"}
    made = make_task(model={**model, "language_weights": str(tmp_path)}).model
    assert all(torch.equal(value, language.state_dict()[name]) for name, value in made.language_model.state_dict().items())
    assert made.config.text_config.vocab_size == 400


def test_a_model_of_our_layout_is_read_strictly(model_folder: Path, make_task: Callable[..., Any], tmp_path: Path) -> None:
    model = read_pretrained(model_folder, {})
    assert torch.equal(model.connector.queries, make_task().model.connector.queries)
    with pytest.raises(ConfigError, match="decides num_queries, which the config states otherwise"):
        read_pretrained(model_folder, {"num_queries": 9})
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        read_pretrained(tmp_path, {})
    encoder = read_encoder(model_folder)
    assert encoder.prefix == "encoder" and set(encoder.tensors) == set(model.encoder.state_dict())
