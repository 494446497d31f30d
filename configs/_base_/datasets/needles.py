# Images with a sign in one of their tiles (tools/make_synthetic.py --needles N); SYNTHETIC_ROOT names another place than data/synthetic.
needle_images = dict(
    rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/needles/train/rgb", pattern="{name}", sensor="rgb_uint8"),
)
needle_test_images = dict(
    rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/needles/test/rgb", pattern="{name}", sensor="rgb_uint8"),
)
