"""One module a format; a module declares itself in ``FORMAT``."""

BUILT_IN = (
    "poses.relion_star",
    "tilts.relion_tilt_series",
    "poses.m_star",
    "images.mrc",
    "images.tiff_image",
    "images.em_image",
    "images.spider_image",
    "images.dm_image",
    "poses.cryosparc_cs",
    "poses.cistem_star",
    "poses.cistem_par",
    "poses.dynamo_tbl",
    "poses.motl_em",
    "poses.stopgap_star",
    "poses.imod_mod",
    "poses.peet_csv",
    "poses.eman2_json",
    "poses.eman_box",
    "poses.cryolo_cbox",
    "poses.cryolo_coords",
    "poses.portal_ndjson",
    "poses.copick_json",
    "poses.xyz_text",
    "poses.csv_table",
    "poses.parquet_table",
    "poses.pytom_xml",
    "tilts.imod_xf",
    "tilts.imod_tlt",
    "tilts.aretomo_aln",
    "tilts.aretomo_tlt",
    "tilts.warp_xml",
    "tilts.warp_tomostar",
    "tilts.mdoc",
    "tilts.relion4_tomograms",
    "tilts.eman2_tilts",
    "tilts.portal_alignment",
    "tilts.cets_alignment",
    "images.eman2_hdf",
    "images.hdf5_image",
    "images.ome_zarr",
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .poses._particles import Particles as Particles
    from .poses._particles import join_poses as join_poses
    from .poses._particles import to_posesets as to_posesets
    from .shared.declaration import Format as Format
    from .shared.declaration import Head as Head
    from .shared.files import read_text as read_text
    from .shared.files import writing as writing
    from .shared.rows import number_rows as number_rows
    from .shared.rows import read_numbers as read_numbers
    from .tilts._tilts import one_experiment as one_experiment
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
