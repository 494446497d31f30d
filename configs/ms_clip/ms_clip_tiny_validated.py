# MS-CLIP tiny, validated on the val chips while it trains; the checkpoint with the best zero-shot accuracy is kept as `best`:
#   bash tools/dist.sh train configs/ms_clip/ms_clip_tiny_validated.py 2
#   python tools/convert_to_hf.py THIS --pth-model work_dirs/ms_clip_tiny_validated/best --save-path MODEL
_base_ = ["./ms_clip_tiny_synthetic.py"]
val_multispectral = dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/val/multispectral", pattern="{stem}.tif", sensor="sentinel2_l2a")
training = dict(
    validation=dict(
        every=50,
        data=[
            dict(  # losses and accuracies in the batch, and recall among all
                type="ImageCaptionDataset",
                annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/val/captions.csv",
                images=dict(multispectral=val_multispectral),
                label_field="label",
                task="retrieval",
            ),
            dict(  # zero-shot accuracy; its captions for the losses are made of its classes
                type="ClassFolderDataset",
                annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/val/multispectral",
                images=dict(multispectral=val_multispectral),
                classes={{_base_.classes}},
                prompts=["a centered satellite photo of the {label}."],
            ),
        ],
        metrics=["classification/accuracy", "retrieval"],
        samples=200,
        batch_size=64,
        best="multispectral/classification/accuracy",
        patience=4,
    )
)
