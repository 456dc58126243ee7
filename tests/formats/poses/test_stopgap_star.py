"""STOPGAP's motive lists: old ones, other programs', and words of half-sets."""

from __future__ import annotations

import pandas as pd
import pytest

from cryotypes import PoseSet
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses.stopgap_star import read, sniff, write
from cryotypes.formats.shared.declaration import Head
from cryotypes.io import identify


def test_a_word_that_is_no_half(tmp_path):
    for word in ("A B", "", "#1", "a\nb"):
        features = pd.DataFrame({"halfset": [word]})
        with pytest.raises(WriteError, match="halfset: expected a word"):
            write([PoseSet([[1, 2, 3]], features=features)], tmp_path / "a.star")
    assert not list(tmp_path.iterdir())


def test_a_number_that_32_bits_do_not_hold(tmp_path):
    features = pd.DataFrame({"subtomo_num": [2**31]})
    with pytest.raises(WriteError, match="column subtomo_num: expected at most 2147483647"):
        write([PoseSet([[1, 2, 3]], features=features)], tmp_path / "a.star")
    assert not list(tmp_path.iterdir())


def test_old_stopgap_lists(save):
    """Without motl_idx, shifts or angles; labels in another order; of another program."""
    text = (
        "data_stopgap_motivelist\nloop_\n_orig_z\n_orig_x\n_orig_y\n_tomo_num\n_mark\n3 1 2 7.0 x\n"
    )
    [poses] = read(save(text))
    assert poses.position.tolist() == [[0, 1, 2]]
    assert poses.shift is None
    assert poses.orientation is None
    assert poses.experiment_id == "7"
    assert list(poses.features.columns) == ["mark"]
    bare = (
        "data_stopgap_motivelist\nloop_\n_orig_z\n_orig_x\n_orig_y\n_tomo_num\n3 1 2 7\n6 4 5 7\n"
    )
    assert read(save(bare))[0].features.shape == (2, 0)


def test_a_list_for_stopgap_that_is_relions(shared_data):
    """A file that Warp wrote in RELION 3.0's form, kept among STOPGAP's."""
    path = next((shared_data / "stopgap").glob("*.star"))
    assert not sniff(Head.of(path))
    assert identify(path, "poses").name == "relion-star"
    with (
        pytest.warns(GuessWarning, match="does not end with a line end"),
        pytest.raises(ReadError, match="expected one block data_stopgap_motivelist, found 0"),
    ):
        read(path)
