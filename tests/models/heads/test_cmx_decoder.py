"""The rearranged decoder against its plain form: map, resize, concatenate (last stage first), mix."""
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from decur.models.heads import CMXHead

IN = (3, 4, 5, 6)


def build(**kwargs):
    torch.manual_seed(0)
    head = CMXHead(IN, 8, num_classes=5, loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True), **kwargs).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=.3)
    return head


def maps(size=(13, 9)):
    torch.manual_seed(1)
    out = []
    for c in IN:
        out.append(torch.randn(2, c, *size, dtype=torch.double))
        size = tuple((n + 1) // 2 for n in size)
    return out


def plain(head, inputs):
    size = inputs[0].shape[2:]
    columns = []
    for x, layer in zip(inputs, head.embed):
        y = (x.permute(0, 2, 3, 1) @ layer.weight.T + layer.bias).permute(0, 3, 1, 2)
        columns.append(F.interpolate(y, size=size, mode='bilinear', align_corners=False))
    x = F.conv2d(torch.cat(columns[::-1], 1), head.fuse.conv.weight, head.fuse.conv.bias)
    return head.conv_seg(F.relu(head.fuse.bn(x)))


@pytest.mark.parametrize('size', [(13, 9), (16, 16), (1, 1)])
def test_equals_the_plain_form(size):
    head = build().eval()
    head.fuse.bn.running_mean.normal_()
    inputs = maps(size)
    assert torch.allclose(head(inputs), plain(head, inputs), atol=1e-12)


def test_training_gradients_equal_the_plain_form():
    head = build(dropout_ratio=0.).train()
    inputs = [x.requires_grad_() for x in maps()]
    grads = []
    for forward in (head, lambda x: plain(head, x)):
        out = forward(inputs)
        grads.append(torch.autograd.grad(out.sin().sum(), [*inputs, *head.parameters()]))
    names = ['map'] * 4 + [name for name, _ in head.named_parameters()]
    for name, a, b in zip(names, *grads):
        assert torch.allclose(a, b, atol=1e-10), name


def test_loss_leaves_ignored_pixels_out():
    head = build(dropout_ratio=0.).eval()
    inputs = maps((8, 8))
    label = torch.randint(0, 5, (2, 1, 32, 32))
    label[:, :, :20] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=x)) for x in label]
    logits = F.interpolate(head(inputs), size=(32, 32), mode='bilinear', align_corners=False)
    loss = head.loss(inputs, samples, {})['loss_ce']
    assert torch.allclose(loss, F.cross_entropy(logits, label[:, 0], ignore_index=255))


def test_published_initialisation():
    head = CMXHead((64, 128), 512, num_classes=40, loss_decode=dict(type='mmseg.CrossEntropyLoss'))
    bias = head.fuse.conv.bias.clone()
    head.init_weights()
    assert head.fuse.conv.weight.std().item() == pytest.approx((2 / 1024) ** .5, rel=.02)
    assert head.conv_seg.weight.std().item() == pytest.approx((2 / 512) ** .5, rel=.02)
    assert torch.equal(head.fuse.conv.bias, bias), 'biases keep the initialisation of PyTorch'
    assert head.fuse.bn.eps == 1e-5 and isinstance(head.dropout, torch.nn.Dropout2d) and head.dropout.p == .1
