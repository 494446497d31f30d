# Questions of all four tasks on pictures of the synthetic world; SYNTHETIC_ROOT names another root than data/synthetic:
#   python tools/make_synthetic.py --train 3000 --val 50 --test 150 --cloudy 0 --classes 10
# Cloudy scenes are left out, as a picture shows only a part of what is asked for; boxes are of one decimal, as accurate as 12 x 12
# patches are; of classes that look alike in colour, one of each pair.
classes = {
    "water": "water",
    "forest": "forest",
    "cropland": "cropland",
    "buildings": "buildings",
    "bare_ground": "bare ground",
    "grass": "grass",
    "snow": "snow",
}
clear = dict(cloudy=False)
train_scenes = dict(rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/train/rgb", pattern="{stem}.png", sensor="rgb_uint8"))
val_scenes = dict(rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/val/rgb", pattern="{stem}.png", sensor="rgb_uint8"))
test_scenes = dict(rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/test/rgb", pattern="{stem}.png", sensor="rgb_uint8"))
train_classes = dict(
    type="ClassFolderDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/rgb",
    images=dict(),
    classes=classes,
    transforms=[dict(type="AerithClassification")],
)
train_questions = dict(
    type="LlavaDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/vqa.json",
    images=train_scenes,
    where=clear,
    transforms=[dict(type="AerithQuestions")],
)
train_captions = dict(
    type="LlavaDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
    images=train_scenes,
    where=clear,
    task="caption",
    transforms=[dict(type="AerithQuestions", prefix="[CAP] ")],
)
train_boxes = dict(
    type="ReferringJsonlDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/referring.jsonl",
    images=train_scenes,
    where=clear,
    transforms=[dict(type="AerithGrounding", decimals=1)],
)
train_captions_alone = dict(  # an image and its caption, nothing asked
    type="LlavaDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
    images=train_scenes,
    where=clear,
    task="caption",
    transforms=[dict(type="AerithImageAlone")],
)
train_chip_captions = dict(  # for the pooler alone: an image and its caption, nothing asked
    type="ImageCaptionDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/captions.csv",
    images=dict(rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/rgb", pattern="{stem}.png", sensor="rgb_uint8")),
    label_field="label",
    transforms=[dict(type="AerithCaption", prompts=[""])],
)
val_classes = dict(
    type="ClassFolderDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/val/rgb",
    images=dict(),
    classes=classes,
    transforms=[dict(type="AerithClassification")],
)
val_questions = dict(
    type="LlavaDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/val/vqa.json",
    images=val_scenes,
    where=clear,
    transforms=[dict(type="AerithQuestions")],
)
val_boxes = dict(
    type="ReferringJsonlDataset",
    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/val/referring.jsonl",
    task="grounding",
    images=val_scenes,
    where=clear,
    transforms=[dict(type="AerithGrounding", decimals=1)],
)
evaluation = dict(
    batch_size=32,
    max_new_tokens=24,
    settings=dict(optical=["rgb"]),
    datasets=[
        dict(
            type="ClassFolderDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/test/rgb",
            images=dict(),
            classes=classes,
            transforms=[dict(type="AerithClassification")],
        ),
        dict(
            type="LlavaDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/vqa.json",
            images=test_scenes,
            where=clear,
            transforms=[dict(type="AerithQuestions")],
        ),
        dict(
            type="LlavaDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/caption.json",
            images=test_scenes,
            where=clear,
            task="caption",
            transforms=[dict(type="AerithQuestions", prefix="[CAP] ")],
        ),
        dict(
            type="ReferringJsonlDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/referring.jsonl",
            task="grounding",
            images=test_scenes,
            where=clear,
            transforms=[dict(type="AerithGrounding", decimals=1)],
        ),
    ],
)
