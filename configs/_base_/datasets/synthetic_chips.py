# Chips of one class each with captions: python tools/make_synthetic.py --classes 10; SYNTHETIC_ROOT names another root.
train_chips = dict(
    rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/rgb", pattern="{stem}.png", sensor="rgb_uint8"),
    multispectral=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/multispectral", pattern="{stem}.tif", sensor="sentinel2_l2a"),
)
test_chips = dict(
    rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/test/rgb", pattern="{stem}.png", sensor="rgb_uint8"),
    multispectral=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/test/multispectral", pattern="{stem}.tif", sensor="sentinel2_l2a"),
)
classes = {
    "water": "water",
    "forest": "forest",
    "cropland": "cropland",
    "buildings": "buildings",
    "bare_ground": "bare ground",
    "grass": "grass",
    "artificial_turf": "artificial turf",
    "burnt_ground": "burnt ground",
    "snow": "snow",
    "salt_flat": "salt flat",
}
