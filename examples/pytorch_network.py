"""A PyTorch network of 3-channel images and its data as the files that `accel` reads, in this folder.

    shapes.onnx                  the trained network
    calibration.npy              training images, which set the ranges of int8
    images.npy, classes.npy      test images and their classes
    train.npz                    what retraining learns, and the same test images

The images are drawn here, so that nothing has to be loaded: discs, squares, triangles, crosses, rings and stripes, of
any colour, on noise of another. Yours come from your own data set: only the last lines are about `accel`.
"""

import argparse

import numpy as np
import torch
from torch import nn

SIZE, CLASSES = 32, 6
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--count", type=int, default=4000, help="training images")
options = parser.parse_args()


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, SIZE, SIZE) of uint8, and their classes (n,)."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, count)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    images = np.empty((count, 3, SIZE, SIZE), np.uint8)
    for number, kind in enumerate(classes):
        radius = rng.uniform(6, 12)
        across, down = x - rng.uniform(radius, SIZE - radius), y - rng.uniform(radius, SIZE - radius)
        far, wide, bar = np.hypot(across, down), np.maximum(abs(across), abs(down)), radius / 3
        inside = [
            far < radius,
            wide < 0.85 * radius,
            (down < 0.8 * radius) & (down > 2 * abs(across) - radius),
            (np.minimum(abs(across), abs(down)) < bar) & (wide < radius),
            (far < radius) & (far > 0.6 * radius),
            (wide < radius) & (np.floor((across + radius) / bar) % 2 == 0),
        ][kind]
        ground = rng.uniform(0, 255, 3)
        colour = (ground + rng.uniform(60, 195, 3)) % 255
        image = np.where(inside, colour[:, None, None], ground[:, None, None]) + rng.normal(0, 25, (3, SIZE, SIZE))
        images[number] = np.clip(image, 0, 255)
    return images, classes


def convolution(inputs: int, outputs: int, groups: int = 1, kernel: int = 3) -> list[nn.Module]:
    """With batch normalisation, which `accel` folds into it, and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


torch.manual_seed(0)
torch.set_num_threads(1)
model = nn.Sequential(
    *convolution(3, 16), nn.MaxPool2d(2),
    *convolution(16, 32), nn.MaxPool2d(2),
    *convolution(32, 32, groups=32), *convolution(32, 64, kernel=1), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(64 * 16, 128), nn.ReLU(), nn.Linear(128, CLASSES),
)  # fmt: skip
images, classes = shapes(options.count, seed=0)
test_images, test_classes = shapes(1000, seed=1)
inputs, labels = torch.from_numpy(images).float() / 255, torch.from_numpy(classes)
optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4, nesterov=True)
for epoch in range(options.epochs):
    optimiser.param_groups[0]["lr"] = 0.05 * (1 - epoch / options.epochs)
    for batch in torch.randperm(len(labels)).split(64):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
        optimiser.step()
model.eval()

# What `accel` needs: the network as ONNX, and arrays as it reads them.
torch.onnx.export(
    model, torch.zeros(1, 3, SIZE, SIZE), "shapes.onnx", input_names=["image"], output_names=["classes"],
    dynamic_axes={"image": {0: "n"}, "classes": {0: "n"}}, dynamo=False,
)  # fmt: skip
np.save("calibration.npy", inputs[:256].numpy())
np.save("images.npy", np.float32(test_images / 255))
np.save("classes.npy", test_classes)
np.savez("train.npz", x_train=images, y_train=classes, x_test=test_images, y_test=test_classes)
with torch.no_grad():
    right = (model(torch.from_numpy(test_images).float() / 255).argmax(1).numpy() == test_classes).mean()
print(f"accuracy {100 * right:.1f} %; wrote shapes.onnx, calibration.npy, images.npy, classes.npy, train.npz")
