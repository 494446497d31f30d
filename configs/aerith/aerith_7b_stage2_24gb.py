# Aerith 7B, stage 2, one GPU of 24 GB: the language model is held in 4 bits; as many samples an update as on eight:
#   bash tools/dist.sh train configs/aerith/aerith_7b_stage2_24gb.py 1
# Memory: 11.7 GiB with 4 rows of 512 tokens (tools/estimate_memory.py THIS --gpus 1 --tokens 512)
_base_ = ["./aerith_7b_stage2.py"]
task = dict(quantization=dict(bits=4))
training = dict(accumulation=8)
