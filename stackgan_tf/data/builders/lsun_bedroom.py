"""LSUN bedrooms."""

import tensorflow_datasets as tfds

from stackgan_tf.data.lsun import Lsun


class LsunBedroom(Lsun):
    """3,033,042 bedrooms, short side 256, without captions. Source: Yu et al., arXiv 1506.03365."""

    VERSION = tfds.core.Version("1.0.0")
    LMDB = "bedroom_train_lmdb"
