# EarthFM tiny: an encoder built as OlmoEarth v1.1 (one token a patch), and Phi with a vocabulary made of the training texts.
tiny_encoder = dict(version="v1.1", embedding_size=64, depth=2, num_heads=4, drop_path=0.0, pixel_hidden_sizes=[16])
task = dict(
    type="EarthFmTask",
    model=dict(
        encoder=tiny_encoder,
        text_config=dict(
            model_type="phi",
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=256,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attention_dropout=0.0,
        ),
        num_queries=16,
        num_heads=4,
    ),
    processor=dict(),
    max_length=224,
    batch_size=16,
    num_workers=1,
    length_window=None,
)
