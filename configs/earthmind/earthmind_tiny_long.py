# Compression tokens for the tiny EarthMind of earthmind_tiny_needles.py, on images of 1 to 32 tiles with a sign in one of them, 2 cores:
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_long.py 2
# A window is two tiles (72 vision tokens, which 2, 4 and 8 divide); each window of a training sample draws its ratio, 1 leaves it as it is,
# so that the same model answers uncompressed inputs too.
_base_ = ["./earthmind_tiny_needles.py"]
task = dict(
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/earthmind-tiny-needles",
        compression=dict(window=72, ratios=[1, 2, 4, 8], ratio=4),
    ),
    tokenizer=dict(_delete_=True, type="PretrainedTokenizer", path="{{$PRETRAINED_ROOT:pretrained}}/earthmind-tiny-needles"),
    # sets of about as many tiles each
    data=dict(
        _delete_=True,
        type="Mixture",
        parts=[
            dict(
                name=f"tiles_{tiles}",
                data=dict(
                    type="LlavaDataset",
                    annotations=f"{{$SYNTHETIC_ROOT:data/synthetic}}/needles/train/colour_{tiles}.json",
                    images={{_base_.needle_images}},
                ),
            )
            for tiles in (1, 4, 8, 16, 32)
        ],
    ),
    batch_size=4,
)
evaluation = dict(
    batch_size=4,
    datasets=[
        dict(
            type="LlavaDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/needles/test/colour_32.json",
            images={{_base_.needle_test_images}},
        ),
    ],
)
training = dict(max_iters=150)
optimizer = dict(lr=7e-4)
