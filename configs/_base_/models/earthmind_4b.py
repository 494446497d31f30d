# EarthMind 4B: InternVL2.5-4B (InternViT-300M, Qwen2.5-3B) and SAM 2.1 Hiera large. The sizes are compared with those of the folder; what
# trains is what the upstream recipe trains, but for the token tables: of these, only the rows of the new tokens.
# Both tables whole, as in upstream:
#   task.trainable_tokens="[]" and language_model.model.embed_tokens, language_model.lm_head added to task.trainable
task = dict(
    type="EarthMindTask",
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/internvl2_5-4b-sam2-l",
        vision_config=dict(
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            intermediate_size=4096,
            image_size=448,
            patch_size=14,
            attention_bias=True,
        ),
        text_config=dict(
            model_type="qwen2",
            vocab_size=151679,
            hidden_size=2048,
            intermediate_size=11008,
            num_hidden_layers=36,
            num_attention_heads=16,
            num_key_value_heads=2,
            tie_word_embeddings=False,
        ),
        sam_config=dict(
            vision_config=dict(
                backbone_config=dict(
                    model_type="sam2_hiera_det_model",
                    hidden_size=144,
                    num_attention_heads=2,
                    blocks_per_stage=[2, 6, 36, 4],
                    embed_dim_per_stage=[144, 288, 576, 1152],
                    num_attention_heads_per_stage=[2, 4, 8, 16],
                    window_size_per_stage=[8, 4, 16, 8],
                    global_attention_blocks=[23, 33, 43],
                    window_positional_embedding_background_size=[7, 7],
                ),
                backbone_channel_list=[1152, 576, 288, 144],
            ),
        ),
        fusion="mutual_attention",
    ),
    tokenizer=dict(type="PretrainedTokenizer", path="{{$PRETRAINED_ROOT:pretrained}}/internvl2_5-4b-sam2-l"),
    processor=dict(max_tiles=12, template="phi3_chat"),
    trainable=["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder"],
    trainable_tokens=["[SEG]", "<p>", "</p>", "<vp>", "</vp>"],
    lora=dict(rank=128, alpha=256, dropout=0.05),
)
