"""ImageNet weights into encoders of other channels, by an explicit rule and strictly."""
import pytest
import torch
from mmpretrain.models.backbones import ResNet

from decur.errors import WeightsError
from decur.models import MultimodalBackbone
from decur.weights import save_file
from decur.weights.first_layer import adapt_first_layer


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory):
    """A ResNet18 file with torchvision's names, classifier included."""
    torch.manual_seed(0)
    net = ResNet(depth=18)
    state = dict(net.state_dict(), **{'fc.weight': torch.zeros(10, 512), 'fc.bias': torch.zeros(10)})
    return save_file(state, tmp_path_factory.mktemp('imagenet') / 'resnet18.pth'), net.state_dict()


def backbone(channels, **init):
    encoder = dict(type='mmpretrain.ResNet', depth=18, init_cfg=dict(type='Pretrained', **init))
    torch.manual_seed(1)
    return MultimodalBackbone(dict(sar=dict(channels=channels, encoder=encoder)))


def test_repeat_keeps_the_response_to_equal_channels():
    weight, initial = torch.randn(4, 3, 5, 5), torch.zeros(4, 13, 5, 5)
    out = adapt_first_layer(weight, initial, 'repeat')
    assert torch.equal(out[:, 7], weight[:, 1] * (3 / 13))
    grey = torch.rand(1, 1, 9, 9)
    # 12 is a multiple of 3, so every filter is repeated as often.
    out = adapt_first_layer(weight, initial[:, :12], 'repeat')
    for new, old in ((out, weight), ):
        a = torch.nn.functional.conv2d(grey.expand(1, 12, 9, 9), new)
        assert torch.allclose(a, torch.nn.functional.conv2d(grey.expand(1, 3, 9, 9), old), atol=1e-5)


def test_places_make_the_encoder_see_the_rgb_bands_alone():
    weight = torch.randn(4, 3, 5, 5)
    out = adapt_first_layer(weight, torch.randn(4, 13, 5, 5), (3, 2, 1))
    x = torch.randn(1, 13, 9, 9)
    assert torch.allclose(torch.nn.functional.conv2d(x, out), torch.nn.functional.conv2d(x[:, [3, 2, 1]], weight), atol=1e-5)


def test_drop_keeps_the_initial_layer_and_loads_the_rest(imagenet):
    path, state = imagenet
    net = backbone(2, checkpoint=str(path), first_layer='drop')
    net.init_weights()
    encoder = net.streams['sar'].encoder.state_dict()
    assert encoder['conv1.weight'].shape[1] == 2 and encoder['conv1.weight'].std() > 0
    assert all(torch.equal(encoder[key], value) for key, value in state.items() if key != 'conv1.weight')


def test_without_a_rule_other_channels_stop_the_run(imagenet):
    path, _ = imagenet
    net = backbone(2, checkpoint=str(path))
    with pytest.raises(WeightsError, match=r"conv1.weight .*trained on 3 channels, the modality has 2; .*first_layer='drop', 'repeat'"):
        net.init_weights()
    net = backbone(3, checkpoint=str(path))
    net.init_weights()
    assert torch.equal(net.streams['sar'].encoder.conv1.weight, imagenet[1]['conv1.weight'])


def test_every_key_must_fit(imagenet, tmp_path):
    state = dict(imagenet[1])
    state.pop('layer3.0.conv1.weight')
    state['layer9.0.weight'] = torch.zeros(1)
    state['layer1.0.bn1.weight'] = torch.zeros(7)
    net = backbone(3, checkpoint=str(save_file(state, tmp_path / 'damaged.pth')))
    with pytest.raises(WeightsError) as info:
        net.init_weights()
    for part in ('1 missing in the file: layer3.0.conv1.weight', '1 surplus in the file: layer9.0.weight',
                 '1 of another shape: layer1.0.bn1.weight is (7,), the model has (64,)',
                 'nothing was loaded'):
        assert part in str(info.value)


def test_a_missing_file_says_how_to_do_without():
    with pytest.raises(WeightsError, match='modalities.sar.encoder.init_cfg=None'):
        backbone(3, checkpoint='no/such.pth').init_weights()


def test_streams_that_pretrained_replaces_are_not_fetched(imagenet, tmp_path):
    source = backbone(3, checkpoint=str(imagenet[0]))
    source.init_weights()
    path = save_file(dict(state_dict={f'backbone.{k}': v for k, v in source.state_dict().items()}), tmp_path / 'pretrained.pth')
    encoder = dict(type='mmpretrain.ResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint='no/such.pth'))
    net = MultimodalBackbone(dict(sar=dict(channels=3, encoder=encoder)), pretrained=str(path))
    net.init_weights()
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), source.state_dict().values()))


@pytest.mark.parametrize('rule, message', [('average', "unknown rule 'average'"), ((0, 1), 'expected 3 different places'),
                                           ((0, 0, 1), 'expected 3 different'), ((0, 1, 13), r'channels 0\.\.12')])
def test_a_wrong_rule_is_named(rule, message):
    with pytest.raises(WeightsError, match=message):
        adapt_first_layer(torch.zeros(4, 3, 5, 5), torch.zeros(4, 13, 5, 5), rule)
    with pytest.raises(WeightsError, match='only the number of channels may differ'):
        adapt_first_layer(torch.zeros(4, 3, 5, 5), torch.zeros(4, 13, 7, 7), 'repeat')
