# The demo's EarthMind on single tiles with a sign in each, 2 CPU cores; what earthmind_tiny_long_frozen.py begins with. Its vision tower is
# frozen, so that the tokens that show a sign know of it, and the others of its tile less than if the tower learned signs.
#   bash tools/demo.sh && python tools/make_synthetic.py --out data/synthetic --needles 800
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_needles_frozen.py 2
#   python tools/convert_to_hf.py configs/earthmind/earthmind_tiny_needles_frozen.py \
#       --pth-model work_dirs/earthmind_tiny_needles_frozen/latest --save-path pretrained/earthmind-tiny-needles-frozen
_base_ = ["./earthmind_tiny_needles.py"]
task = dict(
    model=dict(pretrained="{{$DEMO_MODEL:work_dirs/demo/model}}"),
    tokenizer=dict(_delete_=True, type="PretrainedTokenizer", path="{{$DEMO_MODEL:work_dirs/demo/model}}"),
    trainable=["projector", "fusion", "language_model"],
)
