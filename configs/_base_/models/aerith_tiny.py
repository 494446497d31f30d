# A small Aerith (3 M parameters): both towers see 96 px in 12 x 12 patches; its language model is trained from scratch.
task = dict(
    model=dict(
        clip_config=dict(
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=96,
            patch_size=8,
            projection_dim=128,
            hidden_act="gelu",
        ),
        dinov3_config=dict(
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=96,
            patch_size=8,
            num_register_tokens=4,
            pos_embed_rescale=None,  # positions are learned as they are
        ),
        text_config=dict(
            model_type="llama",
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.08,
        ),
        num_queries=[64],
        pooler_layers=3,
        pooler_heads=4,
        pooler_positions="sine",  # otherwise the few updates of a small training do not suffice to learn where things lie
    )
)
