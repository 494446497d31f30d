# EarthMind 4B, the second stage of upstream's second release: SAR and RGB pairs alone, from its first stage, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_pairs.py 8
# Memory: 51.6 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
# The first stage is EarthMind-4B as released (python tools/import_weights.py pretrained/EarthMind-4B --out pretrained/earthmind-4b); one of
# your own, converted, is named by task.model.pretrained=DIR task.tokenizer.path=DIR.
_base_ = ["../_base_/schedules/earthmind_sft.py", "../_base_/models/earthmind_4b.py", "../_base_/datasets/earthmind_sft.py"]
systems = ["earthmind"]
task = dict(
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/earthmind-4b",
        fusion="hca",
        # as released: the answer takes part in the fusion while training; hca=dict() reads the user's words alone, in training and in use
        hca=dict(text_span="upstream", average_views=False),
    ),
    tokenizer=dict(path="{{$PRETRAINED_ROOT:pretrained}}/earthmind-4b"),
    trainable=["projector", "seg_head.projector", "seg_head.sam.mask_decoder"],  # the fusion has no parameters
    data=dict(
        type="Mixture",
        name="pairs",
        parts=[
            dict(name="sar_seg", weight=1.0, data={{_base_.sar_seg}}),
            dict(name="pair_vqa", weight=1.0, data={{_base_.pair_vqa}}),
        ],
    ),
    losses=dict(
        attention=0.0
    ),  # the second release has neither the attention loss nor, as any model with this fusion here, the alignment loss
    batch_size=1,
    max_length=8192,
    num_workers=4,
)
# One epoch of some 183,000 samples: upstream's one run over all data has 252,380 steps of 8 samples, its first stage without pairs 229,472.
# tools/plan_run.py THIS --gpus 8 tells the number for the files at hand.
training = dict(max_iters=5727)
