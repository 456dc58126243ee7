"""The conventions of each program, a row each. Nothing else may differ between programs.

Evidence: *run* means checked against the program itself, *source* read in its source.
"""

from __future__ import annotations

from ._model import Offset, Place, PlaceConvention, PoseConvention, TiltConvention, Turn

# rot, tilt, psi; the matrix maps the reference to the image (RELION's src/euler.cpp)
_RELION_TURN = Turn("euler", inverse=True, axes="ZYZ")

RELION_3_0 = PoseConvention(
    "RELION ≤ 3.0",
    _RELION_TURN,
    Place(),
    Offset(sign=-1),
    "run: relion_project 3.1.3 (angles, origins in image pixels), relion_preprocess --extract "
    "(coordinate k is the centre of pixel k)",
)
RELION_3_1 = PoseConvention(
    "RELION 3.1",
    _RELION_TURN,
    Place(),
    Offset(sign=-1, unit="angstrom"),
    "run: relion_project, relion_star_handler --center and relion_preprocess --recenter 3.1.3",
)
RELION_4 = PoseConvention(
    "RELION 4 tomography",
    _RELION_TURN,
    Place(),
    Offset(sign=-1, unit="angstrom"),
    "source: particle_set.cpp 4.0.0 and 5.0.0; orientation = subtomogram * particle, the origin "
    "in the frame of the subtomogram",
)
RELION_5 = PoseConvention(
    "RELION 5 tomography",
    _RELION_TURN,
    Place(unit="angstrom", origin="centre"),
    Offset(sign=-1, unit="angstrom"),
    "source: particle_set.cpp and tomogram_set.cpp 5.0; run: reproduces RELION 5's own "
    "rlnTomoVisibleFrames",
)

RELION_5_PICKER = PlaceConvention(
    "RELION 5's picker, pytom-match-pick --relion5-compat",
    Place(unit="angstrom", origin="centre", zero=(1.0, 1.0, 1.0)),
    "source: get_particle_poses/spheres.py and filaments.py (N / 2 - 1, unlike RELION's own "
    "programs); pytom-match-pick's extract.py with RELION metadata",
)
WARP_NORMALISED = PlaceConvention(
    "WarpTools, normalised coordinates",
    Place(unit="fraction"),
    "source: WarpTools' TiltSeries.MatchFull.cs (divided by the size); its exporter multiplies by "
    "the size - 1, up to one unbinned pixel less",
)

RELION_5_TILTS = TiltConvention(
    "RELION 5 tilt series",
    (1, 1, 1),
    Offset(sign=1, unit="angstrom"),
    "source: tomogram.cpp 5.0; run: reproduces RELION 5's own rlnTomoVisibleFrames",
)

WARP_ONE_FILE_TILTS = TiltConvention(
    "WarpTools' tomograms.star with angles",
    (1, 1, 1),
    Offset(sign=1, unit="angstrom"),
    "run: the inverses of a real file's matrices have no tilt about x, the tilts 52.00 and 50.00 "
    "and one axis, 83.51, which read as RELION's would be tilts of -5 about y",
    inverse=True,
)

# IMOD
IMOD_MODEL = PlaceConvention(
    "IMOD model",
    Place(zero=(0.5, 0.5, 0.0)),
    "documentation: IMOD's binspec page: x and y from 0 to N, z from -0.5 to N - 0.5; MatTomo's "
    "read-me: the first voxel's centre is the model point (0.5, 0.5, 0.0); source: boxstartend",
)
IMOD_MODEL_WHOLE = PlaceConvention(
    "IMOD model, whole numbers at pixel centres",
    Place(),
    "source: imodmodel, cryoCAT, copick and other tools leave out the half pixel",
)
PEET = PoseConvention(
    "PEET motive list",
    Turn("euler", inverse=False, axes="zxz"),
    IMOD_MODEL.place,
    Offset(sign=1),
    "source: ArtiaX PEETParticleData.py, cylindra's reader, the CZ portal's point_converter.py; "
    "PEET's slicer2motl text: how to rotate the reference to the particle; PEET itself not run",
)

# EMAN
EMAN2_INFO = PlaceConvention(
    "EMAN2 info",
    Place(origin="floor"),
    "source: e2spt_boxer.py and e2spt_extract.py: from n // 2, after scaling from apix_unbin",
)
EMAN2_INFO_OLD = PlaceConvention(
    "EMAN2 info before 2018",
    Place(),
    "source: e2spt_boxer.py: without apix_unbin pixels of the tomogram, counted from 0",
)
EMAN_BOX = PlaceConvention(
    "EMAN1 box",
    Place(origin="corner"),
    "run: relion_preprocess --extract 3.1.3 takes the corner plus half the box",
)

# crYOLO
CRYOLO_CBOX = PlaceConvention(
    "crYOLO cbox",
    Place(origin="corner"),
    "source: napari-boxmanager io/cbox.py, tomotwin-cryoet cbox_format.py: the corner in x and "
    "y, the centre in z",
)
CRYOLO_COORDS = PlaceConvention(
    "crYOLO coords",
    Place(),
    "source: napari-boxmanager io/coords.py, tomotwin-cryoet coords_format.py: centres, from 0",
)

# Dynamo ≥ 0.8; tdrot, tilt, narot
DYNAMO = PoseConvention(
    "Dynamo",
    Turn("euler", inverse=True, axes="zxz"),
    Place(zero=(0.5, 0.5, 0.5)),
    Offset(sign=1),
    "documentation: Dynamo wiki, Euler_angles_convention (clockwise, about the particle's own "
    "axes, from template to particle) and Volume_center (voxel centres are half-integers); run: "
    "a table of Dynamo's filament models has z along the filaments, eulerangles and cryoCAT agree",
)

# TOM, AV3, novaSTA and STOPGAP; phi, theta, psi (files have them in the order phi, psi, theta)
AV3 = PoseConvention(
    "TOM, AV3, novaSTA, STOPGAP",
    Turn("euler", inverse=False, axes="zxz"),
    Place(zero=(1.0, 1.0, 1.0)),
    Offset(sign=1),
    "source: STOPGAP's sg_euler2matrix.m, sg_motl_apply_shifts.m and "
    "extract_parse_subtomo_positions.m (MATLAB indices), novaSTA's extractSubtomos.cpp; run: "
    "particles on membranes have z across them, cryoCAT agrees on angles",
)

# cryoSPARC
CRYOSPARC = PoseConvention(
    "cryoSPARC",
    Turn("rotvec", inverse=True, degrees=False),
    Place(unit="fraction"),
    Offset(sign=-1),
    "run: images of relion_project 3.1.3 are as predicted, through pyem's csparc2star and through "
    "this package; (ny, nx) of shapes by pyem; a y axis upside down: pyem#22, #101, #133",
)
CRYOSPARC_2D = PoseConvention(
    "cryoSPARC 2D classification",
    Turn("euler", inverse=True, axes="ZYZ", degrees=False),
    CRYOSPARC.place,
    CRYOSPARC.offset,
    "source: pyem's cryosparc2.py and the read-me of cryosparc-particle-reposition: the angle is "
    "RELION's psi; not run",
)
CRYOSPARC_2D_OPPOSITE = PoseConvention(
    "cryoSPARC 2D classification, opposite sign",
    Turn("euler", inverse=False, axes="ZYZ", degrees=False),
    CRYOSPARC.place,
    CRYOSPARC.offset,
    "source: the default of cryosparc-particle-reposition and two programs for helices; not run",
)

# cisTEM, Frealign
CISTEM = PoseConvention(
    "cisTEM",
    Turn("euler", inverse=True, axes="ZYZ"),
    Place(unit="angstrom"),
    Offset(sign=1, unit="angstrom"),
    "source: cisTEM's ImportRefinementPackageWizard.cpp keeps RELION's angles and turns the sign "
    "of its origins; calculate_template_pvalue.cpp: position = pixel * pixel size; not run",
)

# CZ cryoET data portal: annotation points
CZ_PORTAL = PoseConvention(
    "CZ cryoET data portal",
    Turn("matrix", inverse=False),
    Place(),
    None,
    "source: point_converter.py of the portal's ingestion (the matrix of RELION's inverted angles; "
    "locations in voxels, unchanged) and copick's reader of the portal, which agrees; the base of "
    "the locations is the depositor's",
)

# copick: picks in Å, a 4 × 4 transformation each
COPICK = PoseConvention(
    "copick",
    Turn("matrix", inverse=False),
    Place(unit="angstrom"),
    Offset(sign=1, unit="angstrom"),
    "source: copick's models.py and util/formats.py; run: copick 1.31 relion_rows_to_poses",
)

# PyTom: Z1, X, Z2
PYTOM = PoseConvention(
    "PyTom",
    Turn("euler", inverse=False, axes="zxz"),
    Place(),
    Offset(sign=1),
    "source: pytom/basic/structures.py: fromMOTL (the AV3 angles; 1 taken off positions) and "
    "getTransformedVolume (the inverse rotation and -shift bring a particle to the reference)",
)

# cryotypes' own tables
CRYOTYPES = PoseConvention(
    "cryotypes",
    Turn("quaternion", inverse=False),
    Place(),
    Offset(sign=1),
    "our own: docs/native.md",
)

# M
M = PoseConvention(
    "M",
    _RELION_TURN,
    Place(unit="angstrom"),
    None,
    "source: WarpLib's Species.cs (Å from the volume's corner) and Matrix3.cs (RELION's angles); "
    "not run",
)

# IMOD: aligned = A raw + (DX, DY), each from the centre of its image; the volume as trimvol -rx
# turns it. Not turned but swapped (trimvol -yz, tilt's PARALLEL) it is mirrored in z.
IMOD_XF = TiltConvention(
    "IMOD .xf",
    (1, 1, 1),
    Offset(sign=-1),
    "run: newstack and tilt of IMOD 4.8.2 reconstruct spots painted at the predicted places to "
    "0.06 px; source: tilt.f90 (XAXISTILT is subtracted, OFFSET added)",
    frame="aligned",
)
IMOD_XF_SWAPPED = TiltConvention(
    "IMOD .xf, volume not turned but swapped (-yz)",
    (-1, -1, 1),
    Offset(sign=-1),
    "run: tilt's PARALLEL output and trimvol -yz are the mirror image in z of trimvol -rx",
    frame="aligned",
)

# AreTomo: raw = R(ROT) aligned + (TX, TY); the volume as -FlipVol 1 turns it
ARETOMO = TiltConvention(
    "AreTomo .aln",
    (1, 1, 1),
    Offset(sign=1),
    "source: GCorrPatchShift.cu and Recon of AreTomo3; its -OutImod export gives the same under "
    "IMOD's convention, which was run; AreTomo itself was not",
)
ARETOMO_FLIPVOL_2 = TiltConvention(
    "AreTomo .aln, volume of -FlipVol 2",
    (-1, -1, 1),
    Offset(sign=1),
    "source: AreTomo3's -FlipVol 2 swaps y and z without reversing z, which mirrors the volume "
    "(its read-me says that the hand is kept); not run",
)

# Warp: raw = centre + Euler(0, Angles + LevelAngleY, -AxisAngle) RotateX(LevelAngleX) p + offset.
# The angle about y is that of Warp's own volume, whatever the microscope's angles were.
WARP_TILTS = TiltConvention(
    "Warp tilt series",
    (1, -1, 1),
    Offset(sign=1, unit="angstrom"),
    "source: WarpLib's TiltSeries.cs; run: warpylib agrees with IMOD's convention to 0.0003 px",
)
WARP_TILTS_NOT_INVERTED = TiltConvention(
    "Warp tomostar, ts_import --dont_invert",
    (1, 1, 1),
    Offset(sign=1, unit="angstrom"),
    "source: WarpTools' ImportTiltseries.cs: the mdoc's tilt angles, unchanged",
)

# SerialEM: the angles that the stage was told
SERIALEM = TiltConvention(
    "SerialEM mdoc",
    (1, 1, 1),
    Offset(sign=1),
    "source: WarpTools' and RELION's importers take the stage's tilt and the 'Tilt axis angle' of "
    "the titles for IMOD's; run: a real file's axis is within 0.4 degrees of the solved one",
)

# RELION 4: the angles and the shift that are in its projection matrices
RELION_4_TILTS = TiltConvention(
    "RELION 4 projection matrices",
    (1, 1, 1),
    Offset(sign=1),
    "source: tomogram_set.cpp 4.0.0 (rows of the matrix from pixels of the tomogram, from 0, to "
    "those of the tilt image); run: RELION 4's importer, as arithmetic; RELION 4 itself was not",
)

# EMAN2: tlt_params are tx, ty, tilt axis, y tilt, x tilt
EMAN2_TILTS = TiltConvention(
    "EMAN2 tlt_params",
    (-1, -1, -1),
    Offset(sign=1),
    "source: e2tomogram.py and the xyz angles of libEM's transform.cpp; SBC-scripts' "
    "imodxf2emanjson gives the same; EMAN2 itself was not run",
)

# CZ cryoET data portal: raw = in_plane_rotation aligned + (x_offset, y_offset)
CZ_PORTAL_TILTS = TiltConvention(
    "CZ cryoET data portal alignment, offsets in pixels",
    (1, 1, 1),
    Offset(sign=1),
    "source: cryoet-alignment, with which the portal converts IMOD's and AreTomo's alignments; "
    "run: its result agrees with IMOD to 1e-6 px, offsets taken for pixels",
)
CZ_PORTAL_TILTS_ANGSTROM = TiltConvention(
    "CZ cryoET data portal alignment, offsets in angstrom",
    (1, 1, 1),
    Offset(sign=1, unit="angstrom"),
    "documentation: the portal's schema; no entry is known that keeps to it",
)

# CETS: as we write it; the schema leaves it open
CETS_TILTS = TiltConvention(
    "CETS alignment, in angstrom",
    (1, 1, 1),
    Offset(sign=1, unit="angstrom"),
    "our own: the schema of cets-data-models fixes neither direction nor order",
)
CETS_TILTS_PIXEL = TiltConvention(
    "CETS alignment, in pixels",
    (1, 1, 1),
    Offset(sign=1),
    "our own: the schema of cets-data-models fixes neither direction nor order",
)
