# Aerith at full size: CLIP ViT-L/14 at 224 px, DINOv3 ViT-B/16 at 256 px (the defaults of AerithConfig), 144 queries, LLaMA-2-7B-Chat. No
# weights are downloaded: PRETRAINED_ROOT names the folder that holds the three (pretrained/README.md).
task = dict(
    type="AerithTask",
    model=dict(
        text_config=dict(
            model_type="llama",
            vocab_size=32000,
            hidden_size=4096,
            intermediate_size=11008,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=32,
            max_position_embeddings=4096,
            rms_norm_eps=1e-5,
        ),
        parts=dict(
            clip="{{$PRETRAINED_ROOT:pretrained}}/clip-vit-large-patch14",
            dinov3="{{$PRETRAINED_ROOT:pretrained}}/dinov3-vitb16-pretrain-lvd1689m",
            language_model="{{$PRETRAINED_ROOT:pretrained}}/Llama-2-7b-chat-hf",
        ),
    ),
    tokenizer=dict(type="ChatTokenizer", path="{{$PRETRAINED_ROOT:pretrained}}/Llama-2-7b-chat-hf"),
    processor=dict(template="llama2_chat"),
    max_length=2048,
    num_workers=4,
)
