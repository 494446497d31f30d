# EarthFM with OlmoEarth v1 Nano and Moondream 2's text model on ChatEarthNet, upstream's recipe (10 epochs, 16 an update), one GPU, ZeRO-2:
#   bash tools/dist.sh train configs/earthfm/earthfm_nano.py 1
# Memory: 10.1 GiB with 4 rows of 512 tokens (python tools/estimate_memory.py THIS --gpus 1 --tokens 512)
# Weights come first: python tools/download.py olmoearth-v1-nano; python tools/download.py moondream2 --revision 2024-08-26
_base_ = ["../_base_/runtime.py", "../_base_/datasets/chatearthnet.py"]
systems = ["earthfm"]
task = dict(
    type="EarthFmTask",
    model=dict(encoder_weights="pretrained/OlmoEarth-v1-Nano", language_weights="pretrained/moondream2", num_queries=32),
    tokenizer=dict(type="CausalTokenizer", path="pretrained/moondream2"),
    processor=dict(),
    data={{_base_.chatearthnet_train}},
    trainable=["connector"],
    lora=dict(rank=16, alpha=32, dropout=0.05, target_modules=["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]),
    max_length=512,
    batch_size=4,
    num_workers=4,
)
training = dict(
    max_iters=61308,
    accumulation=4,
    validation=dict(
        every=6131, data=[{{_base_.chatearthnet_val}}], metrics=["caption/cider"], samples=512, best="multispectral/caption/cider"
    ),
)
optimizer = dict(lr=2e-5, weight_decay=0.01)
schedule = dict(type="linear", warmup_ratio=0.0017, final_ratio=0.0)
