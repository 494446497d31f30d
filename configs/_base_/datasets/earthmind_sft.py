# The upstream mixture of EarthMind's instruction tuning (data/README.md has the files). A set that the upstream config names n times
# has weight n. Deviations: every expression of an image is asked for once at most in a conversation (published: 5 draws with
# replacement), and VRSBench's repeated questions are left out. EARTHMIND_DATA names another place than data.
picture = dict(pattern="{name}", sensor="rgb_uint8")
referring = dict(type="ReferDataset", split="train", group="image", transforms=[dict(type="ComposeReferring", num_expressions=5)])
conversations = dict(type="LlavaDataset", id_field=None)
regions = dict(type="OspreyRegionDataset", group="image")
rrsisd = dict(
    referring,
    annotations="{{$EARTHMIND_DATA:data}}/Refer_Segm/rrsisd/refs(unc).p",
    instances="{{$EARTHMIND_DATA:data}}/Refer_Segm/rrsisd/instances_new.json",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/Refer_Segm/rrsisd/images")),
)
refsegrs = dict(
    referring,
    annotations="{{$EARTHMIND_DATA:data}}/Refer_Segm/refsegrs/refs(unc).p",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/Refer_Segm/refsegrs/images")),
)
risbench = dict(
    referring,
    annotations="{{$EARTHMIND_DATA:data}}/Refer_Segm/risbench/refs(unc).p",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/Refer_Segm/risbench/images")),
)
vrsbench_seg = dict(
    referring,
    annotations="{{$EARTHMIND_DATA:data}}/vrsbench_seg/refs(unc).p",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/vrsbench_seg/images")),
)
sar_seg = dict(
    referring,
    annotations="{{$EARTHMIND_DATA:data}}/Refer_Segm/sarnew/refs(unc).p",
    images=dict(
        rgb=dict(root="{{$EARTHMIND_DATA:data}}/Refer_Segm/sarnew/rgb", pattern=["{name}", "{stem}.jpg", "{stem}.png"], sensor="rgb_uint8"),
        sar=dict(
            root="{{$EARTHMIND_DATA:data}}/Refer_Segm/sarnew/sar", pattern=["{name}", "{stem}.png", "{stem}.jpg"], sensor="grey_uint8"
        ),
    ),
)
vrsbench_vqa = dict(
    conversations,
    annotations="{{$EARTHMIND_DATA:data}}/vrsbenchvqa/annotations/vqatrain.json",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/vrsbenchvqa/Images_train")),
    remove_duplicates=True,
)
earthgpt_vqa = dict(
    conversations,
    annotations="{{$EARTHMIND_DATA:data}}/earthgptvqa/annotations/train.json",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/earthgptvqa/images")),
)
geochat_vqa = dict(
    conversations,
    annotations="{{$EARTHMIND_DATA:data}}/geochatdata/GeoChatvqa.json",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/GeoChat_finetuning/final_images_llava")),
)
multispectral_vqa = dict(
    type="MultispectralFolderDataset",
    annotations="{{$EARTHMIND_DATA:data}}/multi-spectrum/ms_train.json",
    root="{{$EARTHMIND_DATA:data}}/multi-spectrum/rgb_images",
    id_field=None,
)
pair_vqa = dict(type="PairedDataset", annotations="{{$EARTHMIND_DATA:data}}/pair_data/train/final_all.json")
rsvg_regions = dict(
    regions,
    annotations="{{$EARTHMIND_DATA:data}}/region_caption/rsvg_train.json",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/region_caption/rsvg/images")),
)
geochat_regions = dict(
    regions,
    annotations="{{$EARTHMIND_DATA:data}}/geochatdata/GeoChatregion_train_cleaned.json",
    images=dict(rgb=dict(picture, root="{{$EARTHMIND_DATA:data}}/GeoChat_finetuning/final_images_llava")),
)
mixture = dict(
    type="Mixture",
    parts=[
        dict(name="rrsisd", weight=3.0, data=rrsisd),
        dict(name="refsegrs", weight=3.0, data=refsegrs),
        dict(name="risbench", weight=3.0, data=risbench),
        dict(name="vrsbench_seg", weight=1.0, data=vrsbench_seg),
        dict(name="sar_seg", weight=1.0, data=sar_seg),
        dict(name="vrsbench_vqa", weight=1.0, data=vrsbench_vqa),
        dict(name="earthgpt_vqa", weight=1.0, data=earthgpt_vqa),
        dict(name="geochat_vqa", weight=1.0, data=geochat_vqa),
        dict(name="multispectral_vqa", weight=1.0, data=multispectral_vqa),
        dict(name="pair_vqa", weight=1.0, data=pair_vqa),
        dict(name="rsvg_regions", weight=5.0, data=rsvg_regions),
        dict(name="geochat_regions", weight=1.0, data=geochat_regions),
    ],
)
