"""What copick makes of a tomogram of ours; test_images.py runs this in copick's environment."""

import json
import sys
from pathlib import Path

import copick
import numpy as np

folder = Path(sys.argv[1])
config = {
    "config_type": "filesystem",
    "name": "images",
    "description": "",
    "version": "1.0.0",
    "pickable_objects": [],
    "overlay_root": f"local://{folder}",
    "overlay_fs_args": {"auto_mkdir": True},
}
(folder / "config.json").write_text(json.dumps(config))
root = copick.from_file(str(folder / "config.json"))

(spacing,) = root.get_run("TS_01").voxel_spacings
(tomogram,) = spacing.tomograms
for level in range(3):
    np.save(folder / f"level {level}.npy", tomogram.numpy(zarr_group=str(level)))

new = root.new_run("TS_02").new_voxel_spacing(10.0).new_tomogram("denoised")
new.from_numpy(2 * tomogram.numpy(), levels=2)

answers = {"spacing": spacing.voxel_size, "types": [t.tomo_type for t in spacing.tomograms]}
(folder / "answers.json").write_text(json.dumps(answers))
