# Public sets of series and change (docs/long_inputs.md has their layouts); EARTHMIND_DATA names another place than data.
pictures_of_moments = dict(pattern="{name}", sensor="rgb_uint8")
teochat = dict(
    type="ImageListDataset",
    annotations="{{$EARTHMIND_DATA:data}}/TEOChatlas/train/instruct.json",
    images=dict(rgb=dict(pictures_of_moments, root="{{$EARTHMIND_DATA:data}}/TEOChatlas/train")),
)
levir_cc = dict(
    type="ChangeCaptionDataset",
    annotations="{{$EARTHMIND_DATA:data}}/LEVIR-CC/LevirCCcaptions.json",
    images=dict(rgb=dict(pictures_of_moments, root="{{$EARTHMIND_DATA:data}}/LEVIR-CC/images")),
    split="train",
)
levir_cd = dict(
    type="ChangeFolderDataset",
    annotations="{{$EARTHMIND_DATA:data}}/LEVIR-CD/train",
    images=dict(rgb=dict(pictures_of_moments, root="{{$EARTHMIND_DATA:data}}/LEVIR-CD/train")),
)
xbd = dict(
    type="XbdDataset",
    annotations="{{$EARTHMIND_DATA:data}}/xBD/train/labels",
    images=dict(rgb=dict(pictures_of_moments, root="{{$EARTHMIND_DATA:data}}/xBD/train/images")),
)
