# EarthMind 4B, pairs as in earthmind_4b_pairs.py with replay of single-sensor data, so that it is not forgotten, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_pairs_replay.py 8
# Memory: 51.6 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
# Upstream trains this stage on pairs alone and states no score of single sensors after it. Each set of the first stage is drawn at a tenth
# of its weight there, which makes about half of the samples. The fusion is the corrected one: it reads the user's words alone, in training
# and in use.
_base_ = ["./earthmind_4b_pairs.py"]
task = dict(
    # views of a lone multispectral image keep their tokens, as in the first stage
    model=dict(hca=dict(text_span="question", average_views=False)),
    data=dict(
        _delete_=True,
        type="Mixture",
        name="pairs_and_replay",
        parts=[
            dict(name="sar_seg", weight=1.0, data={{_base_.sar_seg}}),
            dict(name="pair_vqa", weight=1.0, data={{_base_.pair_vqa}}),
            dict(name="rrsisd", weight=0.3, data={{_base_.rrsisd}}),
            dict(name="refsegrs", weight=0.3, data={{_base_.refsegrs}}),
            dict(name="risbench", weight=0.3, data={{_base_.risbench}}),
            dict(name="vrsbench_seg", weight=0.1, data={{_base_.vrsbench_seg}}),
            dict(name="vrsbench_vqa", weight=0.1, data={{_base_.vrsbench_vqa}}),
            dict(name="earthgpt_vqa", weight=0.1, data={{_base_.earthgpt_vqa}}),
            dict(name="geochat_vqa", weight=0.1, data={{_base_.geochat_vqa}}),
            dict(name="multispectral_vqa", weight=0.1, data={{_base_.multispectral_vqa}}),
            dict(name="rsvg_regions", weight=0.5, data={{_base_.rsvg_regions}}),
            dict(name="geochat_regions", weight=0.1, data={{_base_.geochat_regions}}),
        ],
    ),
)
training = dict(max_iters=11454)
