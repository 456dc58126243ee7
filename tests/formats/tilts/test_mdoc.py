"""SerialEM's mdoc, against texts in its own form and a real file."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes.errors import GuessWarning, LossWarning, ReadError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import mdoc
from cryotypes.testing import check_format

ANGLES = ["rotation_x", "rotation_y", "rotation_z"]
HEAD = r"""PixelSpacing = 1.35
Voltage = 300
ImageFile = TS_01.mrc
ImageSize = 4092 5760
DataMode = 1

[T = SerialEM: Titan Krios                                 06-Jun-23  23:19:47    ]

[T =     Tilt axis angle = 85.3, binning = 1  spot = 5  camera = 1]
"""
IMAGES = r"""
[ZValue = 0]
TiltAngle = 0.01
ExposureDose = 2.5
RotationAngle = 175.3
SubFramePath = X:\frames\TS 01\TS_01_000_0.0.tif
DateTime = 06-Jun-23  23:58:00

[ZValue = 1]
TiltAngle = 3.01
ExposureDose = 3
RotationAngle = 175.3
SubFramePath = \\server\x\TS_01_002_3.0.tif
DateTime = 07-Jun-23  00:02:00

[ZValue = 2]
TiltAngle = -3.01
ExposureDose = 4
RotationAngle = 175.3
SubFramePath = TS_01_001_-3.0.tif
DateTime = 07-Jun-23  00:00:00

"""
NOMINAL = "an mdoc has no alignment; the angles are nominal"


def read(path, message=NOMINAL, **options) -> pd.DataFrame:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = mdoc.FORMAT.read(path, **options)
    assert all(w.category is GuessWarning for w in caught)
    assert any(message in str(w.message) for w in caught)
    assert NOMINAL in str(caught[-1].message)
    return model


def test_nominal_angles(save):
    model = read(save(HEAD + IMAGES, "TS_01.mrc.mdoc"))
    assert_allclose(model[ANGLES], [[0, 0.01, 85.3], [0, 3.01, 85.3], [0, -3.01, 85.3]])
    assert not model[["dx", "dy"]].to_numpy().any()
    assert model["experiment_id"].unique().tolist() == ["TS_01"]
    assert model["pixel_spacing"].unique().tolist() == [1.35]
    assert model["tilt_index"].tolist() == [0, 1, 2]
    assert model.attrs["tilt_image_dimensions"] == {"TS_01": (4092, 5760)}
    assert model.attrs["mdoc"]["TS_01"]["Voltage"] == "300"
    assert model["RotationAngle"].tolist() == [175.3] * 3
    cryotypes.validate_projection_model(model)


def test_names_doses_and_the_order_of_acquisition(save):
    """The doses of images add up in the order of time, over midnight."""
    model = read(save(HEAD + IMAGES, "ts.mdoc"))
    names = ["TS_01_000_0.0.tif", "TS_01_002_3.0.tif", "TS_01_001_-3.0.tif"]
    assert model["movie_path"].tolist() == names
    assert model["SubFramePath"][1] == r"\\server\x\TS_01_002_3.0.tif"
    assert model["acquisition_order"].tolist() == [0, 2, 1]
    assert model["exposure"].tolist() == [2.5, 3, 4]
    assert model["dose"].tolist() == [2.5, 9.5, 6.5]
    text = IMAGES
    for prior in (1, 7.5, 3.5):
        text = text.replace("\nRotationAngle", f"\nPriorRecordDose = {prior}\n RotationAngle", 1)
    assert read(save(HEAD + text, "ts.mdoc"))["dose"].tolist() == [3.5, 10.5, 7.5]


def test_dates(save):
    """Four digits of the year are as good; without dates there is no order."""
    text = IMAGES.replace("Jun-23", "Jun-2023")
    assert read(save(HEAD + text, "ts.mdoc"))["acquisition_order"].tolist() == [0, 2, 1]
    for date in ("06-Xxx-23  23:58:00", "46-Jun-23  23:58:00", "?"):
        text = IMAGES.replace("06-Jun-23  23:58:00", date)
        model = read(save(HEAD + text, "ts.mdoc"))
        assert "acquisition_order" not in model
        assert model["dose"].tolist() == [2.5, 5.5, 9.5]
    text = IMAGES.replace("ExposureDose = 3", "ExposureDose = ?")
    assert "dose" not in read(save(HEAD + text, "ts.mdoc"))


def test_the_tilt_axis(save):
    head = HEAD.replace("Tilt axis angle = 85.3, b", "B")
    path = save(head + IMAGES, "ts.mdoc")
    with pytest.raises(ReadError, match=r"Tilt axis angle.*tilt_axis_angle="):
        mdoc.FORMAT.read(path)
    assert read(path, tilt_axis_angle=-95.0)["rotation_z"].tolist() == [-95] * 3
    tomo5 = head + "[T = TiltAxisAngle = 175.1 Binning = 1 SpotSize = 7]\n" + IMAGES
    model = read(save(tomo5, "ts.mdoc"), "TiltAxisAngle of Tomography 5 is known to be wrong")
    assert model["rotation_z"].tolist() == [175.1] * 3


def test_pixel_spacings(save):
    text = IMAGES.replace("\nExposureDose", "\nPixelSpacing = 2.7\nExposureDose")
    path = save(HEAD + text, "ts.mdoc")
    assert read(path)["pixel_spacing"].tolist() == [2.7] * 3
    path = save(HEAD + text.replace("2.7", "5.4", 1), "ts.mdoc")
    with pytest.raises(ReadError, match=r"of 2\.7 to 5\.4 Å: give pixel_spacing="):
        mdoc.FORMAT.read(path)
    assert read(path, pixel_spacing=1.0)["pixel_spacing"].tolist() == [1] * 3
    path = save(HEAD.replace("PixelSpacing = 1.35\n", "") + IMAGES, "ts.mdoc")
    assert read(path)["pixel_spacing"].tolist() == [0] * 3


def test_rows_are_in_the_order_of_the_file(save):
    text = IMAGES.replace("ZValue = 0", "ZValue = 9").replace("ZValue = 2", "ZValue = 0")
    assert read(save(HEAD + text, "ts.mdoc"))["tilt_index"].tolist() == [9, 1, 0]


def test_numbers_of_images_that_stand_twice(save):
    text = IMAGES.replace("ZValue = 2", "ZValue = 0")
    model = read(save(HEAD + text, "ts.mdoc"), "a ZValue stands twice")
    assert model["tilt_index"].tolist() == [0, 1, 2]
    text = IMAGES.replace("ZValue", "FrameSet").replace("= 2]", "= 0]").replace("= 1]", "= 0]")
    assert read(save(HEAD + text, "ts.mdoc"))["tilt_index"].tolist() == [0, 1, 2]


def test_other_line_ends_letters_and_sections(save):
    text = (HEAD + IMAGES + "[MontSection = 0]\nTiltAngle = 50\n\n").replace("\n", "\r\n")
    model = read(save(b"\xef\xbb\xbf" + text.encode().replace(b"Krios", b"\xb5 Krios"), "ts.mdoc"))
    assert_allclose(model["rotation_y"], [0.01, 3.01, -3.01])


def test_one_image(save):
    model = read(save(HEAD + "[ZValue = 7]\nTiltAngle = 3\n\n", "ts.mdoc"))
    assert model["tilt_index"].tolist() == [7]
    assert "dose" not in model


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (IMAGES, "\n", r"expected images \(\[ZValue = 0\] and so on\), found none"),
        ("TiltAngle = 3.01\n", "", "image 1: expected TiltAngle, found none"),
        ("TiltAngle = 3.01", "TiltAngle = x", "image 1, TiltAngle: expected a finite number"),
        ("TiltAngle = 3.01", "TiltAngle = 1e24", "expected tilt angles in degrees"),
        ("ZValue = 1", "ZValue = -1", "ZValue -1 is no image"),
        ("ZValue = 1", "ZValue = one", "line 18, ZValue: expected a finite number, found 'one'"),
        ("PixelSpacing = 1.35", "PixelSpacing = x", "PixelSpacing: expected a finite number"),
        ("angle = 85.3", "angle = 8.5.3", "Tilt axis angle: expected a finite number"),
    ],
)
def test_damage_is_named(save, old, new, message):
    text = HEAD + IMAGES
    assert old in text
    with pytest.raises(ReadError, match=message):
        mdoc.FORMAT.read(save(text.replace(old, new), "ts.mdoc"))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ((HEAD + IMAGES).encode(), True),
        ((HEAD + IMAGES).replace("\n", "\r\n").encode(), True),
        (b"[FrameSet = 0]\nTiltAngle = 1\n", True),
        (HEAD.encode(), False),
        (b"[section]\nZValue = 0\n", False),
        (b"[1, 2]\n", False),
        (b"", False),
        (b"[ZValue = 0]\n\0", False),
    ],
)
def test_sniff(tmp_path, data, found):
    assert mdoc.FORMAT.sniff(Head(tmp_path / "a.mdoc", data)) is found


def test_the_contract(tmp_path, save):
    path = save(HEAD + IMAGES, "examples/ts.mdoc")
    check_format(mdoc.FORMAT, examples=[path], directory=tmp_path)


def test_a_real_file(shared_data):
    with pytest.warns(GuessWarning, match="nominal") as caught:
        model = cryotypes.read_projection_model(shared_data / "mdoc" / "017.mdoc")
    assert len(caught) == 1
    assert len(model) == 60
    assert_allclose(model.loc[0, ANGLES].astype(float), [0, -52.0064, 82.9])
    assert model["pixel_spacing"].unique().tolist() == [1.971]
    assert sorted(model["acquisition_order"]) == list(range(60))
    # the dose adds up in the order of time
    assert (np.diff(model.sort_values("acquisition_order")["dose"]) > 0).all()
    assert model["movie_path"].tolist() == [f"017_{i:02d}.mrc" for i in range(1, 61)]


def test_the_same_series_in_warp_1(shared_data):
    """Its XML has the mdoc's names and angles unchanged: Warp 1 did not turn their sign."""
    with pytest.warns(GuessWarning):
        nominal = cryotypes.read_projection_model(shared_data / "mdoc" / "017.mdoc")
    with pytest.warns(LossWarning):
        solved = cryotypes.read_projection_model(shared_data / "warp" / "017.xml")
    assert nominal["movie_path"].tolist() == solved["movie_path"].tolist()
    assert_allclose(-solved["rotation_y"], nominal["rotation_y"], atol=0.05)
    assert_allclose(solved["rotation_z"], nominal["rotation_z"], atol=0.4)


# --- the order of acquisition, on which the dose depends ---

TILTS = (-9, -6, -3, 0, 3, 6, 9)
MINUTES = (16, 13, 12, 10, 11, 14, 15)  # true order 0 3 -3 -6 6 9 -9
AFTER = [21, 12, 9, 3, 6, 15, 18]  # e/Å² at the end of each image, 3 an image


def series(*dates, order=range(7), prior=None) -> str:
    text = "PixelSpacing = 2\n[T = Tilt axis angle = 84.8]\n\n"
    for z, i in enumerate(order):
        text += f"[ZValue = {z}]\nTiltAngle = {TILTS[i]}\nExposureDose = 3\n"
        text += f"DateTime = {dates[i]}\n" if dates else ""
        text += f"PriorRecordDose = {prior[i]}\n\n" if prior else "\n"
    return text


@pytest.mark.parametrize(
    "form",
    ["14-Apr-24  17:{}:00", "14-Apr-2024 17:{}:00", "2024-04-14 17:{}:00", "2024-04-14T17:{}:00Z"],
)
def test_a_sorted_series_has_its_dose_by_time(save, form):
    with pytest.warns(GuessWarning, match="nominal.*more\\)$"):
        model = cryotypes.read_projection_model(
            save(series(*(form.format(m) for m in MINUTES)), "ts.mdoc")
        )
    assert model["dose"].tolist() == AFTER
    assert model["acquisition_order"].tolist() == [6, 3, 2, 0, 1, 4, 5]


def test_the_month_counts(save):
    """Overnight from March to April: 31-Mar is before 01-Apr."""
    dates = [f"01-Apr-24  00:{m}:00" if m > 12 else f"31-Mar-24  23:{m}:00" for m in MINUTES]
    assert read(save(series(*dates), "ts.mdoc"))["dose"].tolist() == AFTER
    dates = [f"01-Feb-24  00:{m}:00" if m > 12 else f"31-Jan-24  23:{m}:00" for m in MINUTES]
    assert read(save(series(*dates), "ts.mdoc"))["dose"].tolist() == AFTER


@pytest.mark.parametrize("dates", [(), ("14-Apr-24  17:10:00",) * 7, ("yesterday",) * 7])
def test_a_sorted_series_without_times_has_no_dose(save, dates):
    for order in (range(7), range(6, -1, -1)):
        path = save(series(*dates, order=order), "ts.mdoc")
        with pytest.warns(GuessWarning, match="the dose of the images are unknown"):
            model = cryotypes.read_projection_model(path)
        assert "dose" not in model
        assert "acquisition_order" not in model
        assert model["exposure"].tolist() == [3] * 7


def test_a_file_in_the_order_of_acquisition_is_taken_as_such(save):
    """Not sorted by tilt: SerialEM writes images as it takes them; and it is said."""
    taken = [3, 4, 2, 1, 5, 6, 0]
    path = save(series(order=taken), "ts.mdoc")
    with pytest.warns(GuessWarning, match="assumed to be that of the file"):
        model = cryotypes.read_projection_model(path)
    assert model["dose"].tolist() == [3, 6, 9, 12, 15, 18, 21]
    # several images in a second
    path = save(series(*("14-Apr-24  17:10:00",) * 7, order=taken), "ts.mdoc")
    assert read(path)["dose"].tolist() == [3, 6, 9, 12, 15, 18, 21]


def test_the_prior_dose_is_believed_if_it_grows(save):
    prior = [dose - 3 for dose in AFTER]
    model = read(save(series(prior=prior), "ts.mdoc"))  # no times: the dose tells the order
    assert model["dose"].tolist() == AFTER
    dates = [f"14-Apr-24  17:{m}:00" for m in MINUTES]
    path = save(series(*dates, prior=[0] * 7), "ts.mdoc")
    with pytest.warns(GuessWarning, match="PriorRecordDose does not grow"):
        model = cryotypes.read_projection_model(path)
    assert model["dose"].tolist() == AFTER


def test_what_is_no_tilt_series_is_named(save):
    montage = "Montage = 1\n[T = Tilt axis angle = 1]\n[ZValue = 0]\nTiltAngle = 0\n"
    with pytest.raises(ReadError, match="found a montage"):
        read(save(montage, "m.mdoc"))
    with pytest.raises(ReadError, match="found a montage"):
        read(save(montage.replace("Montage = 1\n", "") + "PieceCoordinates = 0 0 0\n", "m.mdoc"))
    frames = "[FrameSet = 0]\nTiltAngle = 3\nSubFramePath = a.tif\n"
    with pytest.raises(ReadError, match="frames of one movie"):
        read(save(frames, "f.mdoc"))
    with pytest.raises(ReadError, match="frames of one movie"):
        read(save(frames + "[ZValue = 0]\nTiltAngle = 3\n", "f.mdoc"))
