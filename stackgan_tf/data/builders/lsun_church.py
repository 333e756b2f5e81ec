"""LSUN churches."""

import tensorflow_datasets as tfds

from stackgan_tf.data.lsun import Lsun


class LsunChurch(Lsun):
    """126,227 churches from outside, short side 256, without captions. Source: Yu et al., arXiv 1506.03365."""

    VERSION = tfds.core.Version("1.0.0")
    LMDB = "church_outdoor_train_lmdb"
