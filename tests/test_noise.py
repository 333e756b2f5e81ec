"""Noise from a seed alone."""

import numpy as np
import pytest
from scipy import stats

from stackgan_tf import noise
from stackgan_tf.errors import UserError

FULL = 2**32 - 1
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
# The known answers that come with the authors' own code, Random123, for Philox-4x32-10.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


def arrays(words):
    return tuple(np.array([word], np.int64) for word in words)


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_the_known_answers(counter, key, answer):
    assert tuple(int(word[0]) for word in noise.philox(arrays(counter), arrays(key))) == answer


def test_one_round_less_is_seen(monkeypatch):
    monkeypatch.setattr(noise, "ROUNDS", 9)
    counter, key, answer = KNOWN[1]
    assert tuple(int(word[0]) for word in noise.philox(arrays(counter), arrays(key))) != answer


def test_a_row_depends_on_its_own_seed_alone():
    sizes = {"z": 10, "eps": 7}
    together = noise.draw(np.array([5, -3, 2**62]), sizes)
    for name, size in sizes.items():
        assert together[name].shape == (3, size) and together[name].dtype == np.float32
        np.testing.assert_array_equal(noise.draw(np.array([-3]), sizes)[name][0], together[name][1])
    assert not np.any(together["z"][0] == together["z"][1]), "other seeds, other numbers"
    assert not np.any(together["z"][0, :7] == together["eps"][0]), "z and eps have numbers of their own"


def test_pictures_of_one_seed_have_seeds_of_their_own():
    seeds = noise.row_seeds(7, range(3))
    assert seeds.tolist() == [7, 7 + 2**32, 7 + 2 * 2**32]
    assert not set(seeds.tolist()) & set(noise.row_seeds(8, range(3)).tolist()), "of neighbouring seeds as well"
    for seed in (-1, 2**32):
        with pytest.raises(UserError, match=f"seed={seed}: must be from 0 to 4294967295"):
            noise.row_seeds(seed, range(1))


def test_the_distributions():
    drawn = noise.draw(noise.row_seeds(0, range(200)), {"z": 100, "eps": 100}, "truncated_normal")
    assert stats.kstest(drawn["z"].ravel(), "norm").pvalue > 0.01
    assert stats.kstest(drawn["eps"].ravel(), stats.truncnorm(-2, 2).cdf).pvalue > 0.01
    assert stats.kstest(drawn["eps"].ravel(), "norm").pvalue < 1e-6, "the test can tell"
    correlation = np.corrcoef(drawn["z"].T)
    assert np.abs(correlation - np.eye(100)).max() < 0.35
