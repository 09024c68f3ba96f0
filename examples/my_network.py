"""A trained network and its data as the files that `accel` reads: mine.onnx and three arrays, in this folder.

They are LeNet-5 and a part of MNIST, which come with the project; yours come from your training: `torch.onnx.export`
for the network, `numpy.save` for inputs (n, channels, height, width), as the network reads them, and for their classes.
"""

from pathlib import Path

import numpy as np

from accel.models import zoo
from accel.models.exchange import onnx_write

images, classes = zoo.mnist_test()
onnx_write.write(zoo.load("lenet-5"), Path("mine.onnx"))
np.save("calibration.npy", zoo.preprocess(zoo.mnist_calibration()[:128]))  # sets the ranges of int8: never test data
np.save("images.npy", zoo.preprocess(images[:1000]))
np.save("classes.npy", classes[:1000])
print("wrote mine.onnx, calibration.npy, images.npy, classes.npy")
