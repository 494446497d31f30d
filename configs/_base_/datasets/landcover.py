# Real tiles prepared by tools/prepare/landcover.py; TILES_ROOT and LANDCOVER_ROOT name other places.
#   python tools/prepare/landcover.py --source ../shared/tiles --out data/landcover --classes tiles
landcover_images = dict(
    rgb=dict(root="{{$TILES_ROOT:../shared/tiles}}/S2RGB", pattern="{stem}.tif", sensor="rgb_uint8"),
    multispectral=dict(root="{{$TILES_ROOT:../shared/tiles}}/S2L2A", pattern="{stem}.tif", sensor="sentinel2_l2a"),
    sar=dict(root="{{$TILES_ROOT:../shared/tiles}}/S1RTC", pattern="{stem}.tif", sensor="sentinel1_rtc"),
)
one_phrase = dict(
    type="ComposeReferring", num_expressions=1, templates=["Please segment the {phrase} in this image."], answers=["[SEG] {phrase}"]
)
evaluation = dict(
    batch_size=8,
    max_new_tokens=24,
    settings=dict(optical=["multispectral"], sar=["sar"], fused=["multispectral", "sar"]),
    datasets=[
        dict(
            type="ReferringJsonlDataset",
            annotations="{{$LANDCOVER_ROOT:data/landcover}}/train/referring.jsonl",
            images=landcover_images,
            transforms=[one_phrase],
        ),
        dict(type="EarthMindBenchDataset", annotations="{{$LANDCOVER_ROOT:data/landcover}}/train/mcq.json", images=landcover_images),
    ],
)
