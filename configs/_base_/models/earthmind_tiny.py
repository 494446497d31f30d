# A small EarthMind (3 M parameters) that trains from scratch on a CPU: all bands go into one patch embedding, masks are drawn on
# one image with channels of all sensors.
# pixel_mean: over the pixels of the synthetic world on the scale of the presentation below; pixel_std: half the deviation, because
# clouds make it large;
# a channel without its sensor (`none`) takes the mean, so that it says nothing.
# Its rows, workers and losses are those that two CPU cores train well with.
# Parts this narrow start with larger weights than transformers gives (0.02): SAM 2 would stay at nothing for hundreds of steps.
task = dict(
    type="EarthMindTask",
    model=dict(
        vision_config=dict(
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=384,
            image_size=96,
            patch_size=8,
            num_channels=14,
            attention_bias=True,
            initializer_range=0.08,
            layer_scale_init_value=1.0,
        ),
        text_config=dict(
            model_type="qwen2",
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            initializer_range=0.05,
        ),
        sam_config=dict(
            vision_config=dict(
                backbone_config=dict(
                    model_type="sam2_hiera_det_model",
                    initializer_range=0.1,
                    num_channels=5,
                    hidden_size=32,
                    num_attention_heads=1,
                    image_size=[96, 96],
                    blocks_per_stage=[1, 1, 2, 1],
                    embed_dim_per_stage=[32, 64, 128, 256],
                    num_attention_heads_per_stage=[1, 2, 4, 8],
                    window_size_per_stage=[8, 4, 6, 3],
                    global_attention_blocks=[3],
                    window_positional_embedding_background_size=[6, 6],
                ),
                backbone_channel_list=[256, 128, 64, 32],
                backbone_feature_sizes=[[24, 24], [12, 12], [6, 6]],
                fpn_hidden_size=64,
                initializer_range=0.1,
            ),
            prompt_encoder_config=dict(hidden_size=64, image_size=96),
            mask_decoder_config=dict(hidden_size=64, mlp_dim=256, num_attention_heads=4, iou_head_hidden_dim=64),
            initializer_range=0.1,
        ),
        pixel_mean=[0.41, 0.41, 0.36, 0.35, 0.46, 0.57, 0.61, 0.64, 0.65, 0.61, 0.55, 0.41, 0.51, 0.53],
        pixel_std=[0.19, 0.18, 0.19, 0.19, 0.17, 0.15, 0.14, 0.14, 0.14, 0.12, 0.15, 0.14, 0.08, 0.08],
        grounding_mean=[0.55, 0.64, 0.36, 0.51, 0.53],
        grounding_std=[0.15, 0.14, 0.19, 0.08, 0.08],
        fusion="mutual_attention",
        initializer_range=0.07,
        position_waves=4.0,
    ),
    processor=dict(
        max_tiles=1,
        token_order="modality",
        grounding_order=["multispectral", "rgb", "sar"],
        grounding_channels=["multispectral:B11", "multispectral:B08", "multispectral:B04|rgb:red", "sar:VV", "sar:VH"],
        presentation=dict(
            rgb=dict(views=[["red", "green", "blue"] + ["none"] * 11], stretch=dict(method="range", low=0, high=255)),
            multispectral=dict(
                views=[["B04", "B03", "B02", "B01", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "none", "none"]],
                stretch=dict(method="range", low=0.0, high=0.5),
            ),
            sar=dict(
                views=[["none"] * 12 + ["VV", "VH"]],
                stretch=dict(method="range", low=dict(VV=-28, VH=-34), high=dict(VV=2, VH=-4)),
            ),
        ),
    ),
    batch_size=6,
    max_length=1024,
    row_length=8192,
    length_window=None,
    num_workers=1,
    losses=dict(mask=1.0, dice=1.0, attention=0.1, alignment=0.02, alignment_kind="contrastive", num_points=1024, importance=0.0),
)
