# EarthMind 8B on InternVL3.5-8B, QLoRA (the language model frozen in 4 bits, nf4), one GPU of 24 GB; as many samples an update as on eight:
#   bash tools/dist.sh train configs/earthmind/earthmind_8b_qlora_24gb.py 1
# Memory: 18.8 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 1)
_base_ = ["./earthmind_8b_sft.py"]
task = dict(quantization=dict(bits=4, format="nf4"), gradient_checkpointing=True)
training = dict(accumulation=32)
