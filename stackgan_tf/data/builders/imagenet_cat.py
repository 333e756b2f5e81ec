"""ImageNet cats."""

import tensorflow_datasets as tfds

from stackgan_tf.data.imagenet import Imagenet


class ImagenetCat(Imagenet):
    """The 5 breeds of cats of ILSVRC 2012, 6,500 images (StackGAN++, section 5), without captions."""

    VERSION = tfds.core.Version("1.0.0")
    WORDNET_IDS = ("n02123045", "n02124075")  # tabby to Egyptian cat
