"""Models whose explanation is known: real pretraining models with weights set by hand."""
import torch
from mmengine.registry import MODELS
from torch import nn

from decur.models.streams import Stepper, register_stepper


class Convolution(nn.Module):
    """One convolution and a ReLU: an encoder small enough to write its weights down."""

    def __init__(self, in_channels, channels=4, kernel=1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)

    def forward(self, x):
        return torch.relu(self.conv(x))


MODELS.register_module(name='TestConvolution', module=Convolution)


@register_stepper(Convolution)
class ConvolutionStepper(Stepper):

    @property
    def stage_channels(self):
        return (self.backbone.conv.out_channels, )

    def stage(self, index, x):
        return self.backbone(x)


def model(channels, encoder='TestConvolution', dims=4, common_dim=2, **encoder_args):
    """A pretraining model of one-stage encoders and one-layer projectors."""
    torch.manual_seed(0)
    modalities = {name: dict(channels=c, encoder=dict(type=encoder, **encoder_args)) for name, c in channels.items()}
    return MODELS.build(dict(
        type='MultimodalPretraining',
        backbone=dict(type='MultimodalBackbone', modalities=modalities, out_indices=(0, )),
        neck=dict(type='MultimodalProjector', hid_channels=8, out_channels=dims, num_layers=2),
        head=dict(type='DeCURHead', common_dim=common_dim))).eval()


def linear_projector(model, name, weight):
    """Replace a projector by one matrix (K, F)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    model.neck.projectors[name] = layer
