# EarthFM with OlmoEarth v1 Large; the rest as configs/earthfm/earthfm_nano.py says, one GPU, ZeRO-2:
#   bash tools/dist.sh train configs/earthfm/earthfm_large.py 1
# Memory: 10.8 GiB with 4 rows of 512 tokens (python tools/estimate_memory.py THIS --gpus 1 --tokens 512)
# Weights come first: python tools/download.py olmoearth-v1-large; python tools/download.py moondream2 --revision 2024-08-26
_base_ = ["./earthfm_nano.py"]
task = dict(model=dict(encoder_weights="pretrained/OlmoEarth-v1-Large"))
