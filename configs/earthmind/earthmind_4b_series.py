# EarthMind 4B on series and pairs, continued from the upstream EarthMind-4B, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_series.py 8
# Memory: 50.5 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
_base_ = ["./earthmind_4b_continue.py", "../_base_/datasets/change_sets.py"]
task = dict(
    processor=dict(series_tiles=1),
    data=dict(
        _delete_=True,
        type="Mixture",
        name="series",
        parts=[
            dict(name="teochat", weight=4.0, data={{_base_.teochat}}),
            dict(name="levir_cc", weight=1.0, data={{_base_.levir_cc}}),
            dict(name="levir_cd", weight=1.0, data={{_base_.levir_cd}}),
            dict(name="xbd", weight=1.0, data={{_base_.xbd}}),
        ],
    ),
)
training = dict(max_iters=5000)
