# EarthMind of a middle size (114 M parameters, 42 M trained), random weights, to measure speed and memory; 2 CPU cores or one GPU, ZeRO-2:
#   bash tools/dist.sh train configs/benchmark/bench_mid.py 1
# The data are those of the tiny config. Token tables have more rows than its tokenizer has tokens, so that they weigh what they do in use.
# A forward and backward allocates, beside weights and gradients, in float32 on a CPU [MiB]; estimated and measured agree to the byte:
#   sample  tokens  tiles  masks   kept for backward   at its peak
#   vqa        320      1      0                18.6          83.9
#   seg        376      1      5               552.2         659.8
#   pair       576      2      0                32.8          99.6
# (python -m pytest -s tests/earthmind/test_outline.py -k middle_size). Counted are tensors, not the workspaces of kernels.
_base_ = ["../earthmind/earthmind_tiny_synthetic.py"]
systems = ["earthmind"]
task = dict(
    model=dict(
        _delete_=True,
        vision_config=dict(
            hidden_size=256,
            num_hidden_layers=6,
            num_attention_heads=4,
            intermediate_size=1024,
            image_size=448,
            patch_size=14,
            attention_bias=True,
        ),
        text_config=dict(
            model_type="qwen2",
            vocab_size=32768,
            hidden_size=512,
            intermediate_size=2752,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=2,
            tie_word_embeddings=False,
        ),
        # SAM 2 Hiera tiny
        sam_config=dict(
            vision_config=dict(
                backbone_config=dict(
                    model_type="sam2_hiera_det_model",
                    hidden_size=96,
                    num_attention_heads=1,
                    image_size=[1024, 1024],
                    blocks_per_stage=[1, 2, 7, 2],
                    embed_dim_per_stage=[96, 192, 384, 768],
                    num_attention_heads_per_stage=[1, 2, 4, 8],
                    window_size_per_stage=[8, 4, 14, 7],
                    global_attention_blocks=[5, 7, 9],
                    window_positional_embedding_background_size=[7, 7],
                ),
                backbone_channel_list=[768, 384, 192, 96],
            ),
        ),
        fusion="mutual_attention",
    ),
    processor=dict(_delete_=True, max_tiles=12, template="phi3_chat"),
    batch_size=1,
    max_length=8192,
    trainable=[
        "projector",
        "fusion",
        "seg_head.projector",
        "seg_head.sam.mask_decoder",
        "language_model.model.embed_tokens",
        "language_model.lm_head",
    ],
    lora=dict(rank=32, alpha=64, dropout=0.05),
    gradient_checkpointing="attention",
    losses=dict(_delete_=True),
)
training = dict(max_iters=100)
optimizer = dict(_delete_=True, lr=4e-5, weight_decay=0.05, betas=(0.9, 0.999))
