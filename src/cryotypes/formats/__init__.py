"""One module a format; a module declares itself in ``FORMAT``."""

from cryotypes._lazy import lazy

BUILT_IN = (
    "relion_star",
    "relion_tilt_series",
    "m_star",
    "mrc",
    "tiff_image",
    "em_image",
    "spider_image",
    "dm_image",
    "cryosparc_cs",
    "cistem_star",
    "cistem_par",
    "dynamo_tbl",
    "motl_em",
    "stopgap_star",
    "imod_mod",
    "peet_csv",
    "eman2_json",
    "eman_box",
    "cryolo_cbox",
    "cryolo_coords",
    "portal_ndjson",
    "copick_json",
    "xyz_text",
    "csv_table",
    "parquet_table",
    "pytom_xml",
    "imod_xf",
    "imod_tlt",
    "aretomo_aln",
    "aretomo_tlt",
    "warp_xml",
    "warp_tomostar",
    "mdoc",
    "relion4_tomograms",
    "eman2_tilts",
    "portal_alignment",
    "cets_alignment",
    "eman2_hdf",
    "hdf5_image",
    "ome_zarr",
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._files import writing as writing
    from ._format import Format as Format
    from ._format import Head as Head
else:
    __getattr__, __dir__ = lazy(
        __name__, {"Format": "_format", "Head": "_format", "writing": "_files"}
    )

__all__ = ["BUILT_IN", "Format", "Head", "writing"]
