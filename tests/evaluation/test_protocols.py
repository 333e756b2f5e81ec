"""Names of figures, there and back."""

import pytest

from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.protocols import METRICS, needs, parse

SEEING = {"features": "inception_v3", "logits": "inception_v3", "joint": "joint_hashing"}


def name_of(text, count=30_000, splits=("test", "train")):
    return parse(text, count, SEEING, list(splits)).name


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("fid", "fid30k_inception_v3_bicubic_test"),
        ("fid_at64", "fid30k_at64_inception_v3_bicubic_test"),
        ("is", "is30k_inception_v3_bicubic_test"),
        ("pr", "pr10k_inception_v3_bicubic_test"),
        ("swd", "swd2048_test"),
        ("ms_ssim", "ms_ssim2k_test"),
        ("r_precision", "r_precision30k_joint_hashing_bicubic_test"),
        ("attributes", "attributes30k_test"),
    ],
)
def test_a_metric_gets_its_whole_name_and_a_whole_name_is_a_protocol(short, name):
    assert name_of(short) == name
    assert name_of(name, count=7) == name, "the name says how many, not the flag"


@pytest.mark.parametrize("name", ["fid500_inception_v3_bilinear_train", "kid12345_at32_inception_v3_bicubic_test"])
def test_a_name_says_filter_size_and_split(name):
    assert name_of(name) == name


def test_where_there_is_no_test_split_train_is_the_reference():
    assert name_of("fid", splits=["train"]) == "fid30k_inception_v3_bicubic_train"


def test_pairs_are_whole():
    assert name_of("ms_ssim", 101) == "ms_ssim100_test"


def test_what_protocols_need():
    assert needs(["fid", "is500_small_bicubic_test", "swd"]) == {"features", "logits", "images"}


@pytest.mark.parametrize("name", ["fdi", "", "fid_", "FID", "fid30m_inception_v3_bicubic_test", "fid_at_64"])
def test_an_unknown_protocol_is_told_with_those_there_are(name):
    with pytest.raises(UserError, match=f"--protocol={name}: unknown; choose from {', '.join(METRICS)}"):
        needs([name])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "fid30k_other_bicubic_test",
            "is not of this extractor and these data; they make fid30k_inception_v3_bicubic_test",
        ),
        ("fid30k_inception_v3_bicubic_val", "is not of this extractor and these data"),
        ("swd_at64", "only metrics of an extractor"),
        ("fid_at4", "at 8 to 1024 pixels"),
        ("fid1_inception_v3_bicubic_test", "--num_samples=1: must be at least 2"),
    ],
)
def test_a_protocol_that_cannot_be_had(name, said):
    with pytest.raises(UserError, match=said):
        name_of(name)
