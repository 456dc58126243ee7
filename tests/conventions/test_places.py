"""Where IMOD, EMAN and crYOLO count pixels from: by hand, and no other origin gives the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryotypes.conventions import _table as conventions

# the zoo lies where it likes
pytestmark = pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")
SIZE = (801, 640, 301)
PLACES = {
    "IMOD_MODEL": ((10.5, 20.5, 30.0), None, (10, 20, 30)),
    "IMOD_MODEL_WHOLE": ((10, 20, 30), None, (10, 20, 30)),
    # odd sizes: 801 // 2 = 400, 640 // 2 = 320, 301 // 2 = 150
    "EMAN2_INFO": ((-390, -300, -120), SIZE, (10, 20, 30)),
    "EMAN2_INFO_OLD": ((10, 20, 30), None, (10, 20, 30)),
    "EMAN_BOX": ((-6, 4, 0), (32, 33, 0), (10, 20.5, 0)),
    "CRYOLO_CBOX": ((-6, 4, 30), (32, 33, 0), (10, 20.5, 30)),
    "CRYOLO_COORDS": ((10, 20, 30), None, (10, 20, 30)),
}


def check_place(place, name):
    from cryotypes.conventions import decode_position, encode_position

    written, size, position = PLACES[name]
    np.testing.assert_allclose(decode_position([written], place, 2.0, size), [position], atol=1e-9)
    np.testing.assert_allclose(encode_position([position], place, 2.0, size), [written], atol=1e-9)


@pytest.mark.parametrize("name", PLACES)
def test_place(name):
    check_place(getattr(conventions, name).place, name)
    assert getattr(conventions, name).evidence


def faults(place):
    yield replace(place, unit="angstrom")
    for origin in ("pixel", "centre", "floor", "corner"):
        same = {place.origin, origin} == {"centre", "corner"}  # the same sum, another size
        if origin != place.origin and not same:
            yield replace(place, origin=origin)
    if place.origin == "pixel":
        for axis in range(3):
            for step in (0.5, -0.5, 1.0, -1.0):
                zero = list(place.zero)
                zero[axis] += step
                yield replace(place, zero=tuple(zero))


WRONG = [
    pytest.param(name, wrong, id=f"{name}: {wrong.unit} {wrong.origin} {wrong.zero}")
    for name in PLACES
    for wrong in faults(getattr(conventions, name).place)
]


@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_a_fault_in_a_place_is_noticed(name, wrong):
    with pytest.raises((AssertionError, TypeError)):
        check_place(wrong, name)
