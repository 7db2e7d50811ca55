"""Classification nets: functions `Name(input_shape, classes, ..., weights=None, name=...)`.

The contract of all of them, so that training, export and judging need not know which net it is:

- Input: one float tensor [N, H, W, channels], channels last, already normalised as the net's
  docstring says.
- Output: one float32 tensor [N, classes] of logits, in every dtype policy. `softmax(output)` are
  the scores of the classes, in label order; argmax is the answer.
- Nets that put out penalties y_i (smaller is better, as the RBF units of LeNet-5) negate them:
  the logits are -y_i, and softmax(-y) the scores.
- So the loss is one that takes logits: `SparseCategoricalCrossentropy(from_logits=True)`, or for
  penalties `keras_models.losses.MAPCriterion`.
- `weights` is the path of a `.weights.h5` or `.keras` file of the same net, or None; "imagenet"
  where keras.applications has the same net (VGG D and E, ResNet-50, 101 and 152), whose pixels
  `preprocess_input` makes.
- `include_top=False` leaves the classifier out, `pooling="avg"` or `"max"` then pools the maps: of
  the nets for ImageNet and the residual nets for CIFAR-10.
- The module of each net has a backbone function, `vgg_backbone(image, ...)`, which gives the maps
  by the names of their layers: `building.feature_maps`.
- `stem="cifar"` keeps pictures of about 32 from vanishing in the first strides; no paper has it.
- A wrong argument is a ValueError that says what is allowed.
"""

from keras_models.classification.alexnet import AlexNet
from keras_models.classification.applications import KerasApplication
from keras_models.classification.bn_inception import BNInception
from keras_models.classification.cifar_resnet import CifarPlainNet, CifarResNet
from keras_models.classification.ciresan import Ciresan, MultiColumn
from keras_models.classification.dropconnect_net import DropConnectCIFAR10, DropConnectMNIST
from keras_models.classification.googlenet import GoogLeNet
from keras_models.classification.highway import HighwayCIFAR, HighwayMLP, HighwayMNIST
from keras_models.classification.lenet import LeNet1, LeNet5, LeNet5ReLU
from keras_models.classification.prelu_net import PReLUNet
from keras_models.classification.published import preprocess_input
from keras_models.classification.resnet import (
    Plain18,
    Plain34,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
)
from keras_models.classification.stochastic_pooling_net import StochasticPoolingNet
from keras_models.classification.vgg import VGG, VGG16, VGG19
from keras_models.classification.zfnet import ZFNet

__all__ = [
    "VGG",
    "VGG16",
    "VGG19",
    "AlexNet",
    "BNInception",
    "CifarPlainNet",
    "CifarResNet",
    "Ciresan",
    "DropConnectCIFAR10",
    "DropConnectMNIST",
    "GoogLeNet",
    "HighwayCIFAR",
    "HighwayMLP",
    "HighwayMNIST",
    "KerasApplication",
    "LeNet1",
    "LeNet5",
    "LeNet5ReLU",
    "MultiColumn",
    "PReLUNet",
    "Plain18",
    "Plain34",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "StochasticPoolingNet",
    "ZFNet",
    "preprocess_input",
]
