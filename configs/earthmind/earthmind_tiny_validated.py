# EarthMind tiny on the synthetic world, validated on its val split while it trains; the best checkpoint is kept as `best`:
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_validated.py 2
#   python tools/convert_to_hf.py THIS --pth-model work_dirs/earthmind_tiny_validated/best --save-path MODEL
_base_ = ["earthmind_tiny_synthetic.py"]
training = dict(
    validation=dict(
        every=100,
        data=[
            dict(
                type="ReferringJsonlDataset",
                annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/val/referring.jsonl",
                images={{_base_.val_images}},
                transforms=[{{_base_.one_phrase}}],
            ),
            dict(
                type="EarthMindBenchDataset",
                annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/val/mcq.json",
                images={{_base_.val_images}},
            ),
        ],
        settings=dict(optical=["multispectral"], sar=["sar"], fused=["multispectral", "sar"]),
        metrics=["referring", "mcq"],
        samples=64,
        batch_size=32,
        max_new_tokens=24,
        best="fused/referring/miou",
        patience=5,
    )
)
