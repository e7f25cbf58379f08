"""Every Volcengine `req_key`, with its params and the Actions that accept it."""

import msgspec

from simulator.visual_images import DreamInpaint, EditInpaint, General21, Image3, Image4, Image46, Text3
from simulator.visual_params import VisualParams
from simulator.visual_videos import Avatar, ImageVideo2, Recamera3, TextVideo2, Video3, VideoPro3

PROCESS, SYNC2ASYNC, TASK = "process", "sync2async", "task"


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """The params of a `req_key`, and the families of Actions that accept it."""

    params: type[VisualParams]
    families: frozenset[str] = frozenset({SYNC2ASYNC})


CAPABILITIES: dict[str, Capability] = {
    # Third-party code uses both families for 2.1, so both are accepted.
    "jimeng_high_aes_general_v21_L": Capability(params=General21, families=frozenset({PROCESS, SYNC2ASYNC})),
    "img2img_inpainting_edit_zi2i": Capability(params=EditInpaint, families=frozenset({PROCESS})),
    "jimeng_realman_avatar_object_detection": Capability(params=Avatar, families=frozenset({PROCESS})),
    "jimeng_realman_avatar_picture_create_role_omni_v15": Capability(params=Avatar, families=frozenset({TASK})),
    "jimeng_realman_avatar_picture_omni_v15": Capability(params=Avatar, families=frozenset({TASK})),
    "jimeng_t2i_v30": Capability(params=Text3),
    "jimeng_t2i_v31": Capability(params=Text3),
    "jimeng_i2i_v30": Capability(params=Image3),
    "jimeng_t2i_v40": Capability(params=Image4),
    "jimeng_seedream46_cvtob": Capability(params=Image46),
    "jimeng_image2image_dream_inpaint": Capability(params=DreamInpaint),
    "jimeng_vgfm_t2v_l20": Capability(params=TextVideo2),
    "jimeng_vgfm_i2v_l20": Capability(params=ImageVideo2),
    "jimeng_t2v_v30": Capability(params=Video3),
    "jimeng_t2v_v30_1080p": Capability(params=Video3),
    "jimeng_i2v_first_v30": Capability(params=Video3),
    "jimeng_i2v_first_v30_1080": Capability(params=Video3),
    "jimeng_i2v_first_tail_v30": Capability(params=Video3),
    "jimeng_i2v_first_tail_v30_1080": Capability(params=Video3),
    "jimeng_i2v_recamera_v30": Capability(params=Recamera3),
    "jimeng_ti2v_v30_pro": Capability(params=VideoPro3),
}
