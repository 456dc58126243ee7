"""copick's own readers and writers: picks, RELION, Dynamo, EM."""

import json

import copick
import numpy as np
import pandas as pd
from copick.util import formats
from copick.util.relion import relion_rows_to_poses
from exchange import run


def project(folder):
    """A project in a folder, which may hold picks already."""
    config = {
        "config_type": "filesystem",
        "name": "exchange",
        "description": "",
        "version": "1.0.0",
        "pickable_objects": [{"name": "ribosome", "is_particle": True, "label": 1}],
        "overlay_root": f"local://{folder}",
        "overlay_fs_args": {"auto_mkdir": True},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return copick.from_file(str(folder / "config.json"))


def transforms(truth, rows):
    result = np.tile(np.eye(4), (len(rows), 1, 1))
    result[:, :3, :3] = truth.matrix[rows]
    result[:, :3, 3] = truth.shift[rows] * truth.spacing
    return result


def grouped(truth):
    """What copick's writers want: locations in Å, transforms and scores by tomogram."""
    return {
        name: (truth.position[rows] * truth.spacing, transforms(truth, rows), truth.score[rows])
        for name in truth.names
        for rows in [truth.rows(name)]
    }


def answer(points, matrices, spacing, **rest):
    return {
        "placed": (points + matrices[:, :3, 3]) / spacing,
        "matrix": matrices[:, :3, :3],
        **rest,
    }


# picks


def read_picks(truth, folder):
    root = project(folder / "ours" / "project")
    answers = {}
    for run_ in root.runs:
        (picks,) = run_.get_picks(object_name="ribosome", user_id="cryotypes", session_id="0")
        points, matrices = picks.numpy()
        answers[run_.name] = answer(
            points,
            matrices,
            picks.meta.voxel_spacing,
            full=picks.full_positions() / picks.meta.voxel_spacing,
            score=picks.scores(),
            instance_id=picks.instance_ids(),
            trusted=picks.trust_orientation,
            unit=picks.meta.unit,
        )
    return answers


def write_picks(truth, folder):
    (folder / "theirs" / "project").mkdir()
    root = project(folder / "theirs" / "project")
    for name, (points, matrices, score) in grouped(truth).items():
        picks = root.new_run(name).new_picks("ribosome", session_id="1", user_id="them")
        picks.meta.voxel_spacing = truth.spacing
        picks.from_numpy(points, matrices, truth.tag[truth.rows(name)], score)


# RELION


def read_relion(truth, folder):
    tomograms = formats.read_relion_tomograms(str(folder / "ours" / "tomograms.star"))
    answers = {}
    for name in ("4.0", "5.0", "subtomograms"):
        path = str(folder / "ours" / f"{name}.star")
        table, optics = formats.read_star_particles_with_optics(path)
        points = formats.relion_coordinates_to_angstrom(table, optics=optics, tomograms=tomograms)
        matrix, offset = relion_rows_to_poses(table)
        placed = (points - offset) / truth.spacing
        tomogram = table["rlnTomoName"].tolist()
        answers[name] = {"placed": placed, "matrix": matrix, "tomogram": tomogram}
    return answers


def write_relion(truth, folder):
    theirs = folder / "theirs"
    tomograms = formats.read_relion_tomograms(str(folder / "ours" / "tomograms.star"))
    data = grouped(truth)
    pixel = {"tilt_series_pixel_size": truth.spacing}
    formats.write_star_particles_grouped(str(theirs / "4.0.star"), data, **pixel)
    formats.write_star_particles_grouped(
        str(theirs / "5.0.star"), data, tomograms=tomograms, coordinates="centered"
    )
    # RELION's filaments: the frame in the angles of the subtomogram, turned by 90 degrees
    ids = {name: truth.class_number[truth.rows(name)] for name in truth.names}
    particles, optics = formats.build_relion_star_tables(
        {name: (points, matrices) for name, (points, matrices, _) in data.items()},
        **(pixel | {"filament": True, "instance_ids": ids}),
    )
    shift = np.random.default_rng(3).uniform(-9, 9, (len(particles), 3))  # Å, as if refined
    columns = [f"rlnOrigin{axis}Angst" for axis in "XYZ"]
    particles = pd.concat([particles, pd.DataFrame(shift, columns=columns)], axis=1)
    formats.write_star_particles(str(theirs / "filaments.star"), particles, optics)
    _, offset = relion_rows_to_poses(particles)
    return {"offset": offset, "tube": particles["rlnHelicalTubeID"].tolist()}


# Dynamo, EM


def read_dynamo(truth, folder):
    path = str(folder / "ours" / "dynamo.tbl")
    xyz, angles, shift, score, tomogram = formats.read_dynamo_table(path, include_tomo_index=True)
    points, matrices = formats.dynamo_to_copick_transform(xyz, angles, shift, truth.spacing)
    names = formats.read_dynamo_tomolist(str(folder / "ours" / "dynamo.doc"))
    named = [names[number] for number in tomogram.tolist()]
    return answer(points, matrices, truth.spacing, score=score, tomogram=named)


def read_em(truth, folder):
    path = str(folder / "ours" / "motl.em")
    xyz, angles, score, tomogram, shift = formats.read_em_motivelist(
        path, include_tomo_index=True, include_shifts=True
    )
    points, matrices = formats.em_to_copick_transform(xyz, angles, truth.spacing, shift)
    return answer(points, matrices, truth.spacing, score=score, tomogram=tomogram)


def write_lists(truth, folder):
    numbers = {name: int(name[-2:]) for name in truth.names}
    theirs = folder / "theirs"
    data = grouped(truth)
    formats.write_dynamo_table_grouped(str(theirs / "dynamo.tbl"), data, truth.spacing, numbers)
    formats.write_em_motivelist_grouped(str(theirs / "motl.em"), data, truth.spacing, numbers)


if __name__ == "__main__":
    run(
        *(read_picks, write_picks, read_relion, write_relion),
        *(read_dynamo, read_em, write_lists),
    )
