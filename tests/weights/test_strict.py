"""The strict loader: what fits is loaded, anything else is one line and changes nothing."""
import pytest
import torch
from mmengine.model import BaseTTAModel
from torch import nn

from decur.errors import WeightsError
from decur.weights.strict import differences, load_strict


def net(classes=3):
    torch.manual_seed(1)
    model = nn.Sequential()
    model.backbone = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
    model.decode_head = nn.Module()
    model.decode_head.conv_seg = nn.Conv2d(4, classes, 1)
    return model


def source():
    torch.manual_seed(0)
    model = net()
    for value in model.state_dict().values():
        value.copy_(torch.rand(value.shape))
    return dict(model.state_dict())


def values(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def equal(a, b):
    return list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


def test_what_fits_is_loaded():
    model, state = net(), source()
    assert load_strict(model, state, 'file.pth') == []
    assert equal(model.state_dict(), state)
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    load_strict(model, half, 'half.pth')
    assert torch.allclose(model.backbone[0].weight, state['backbone.0.weight'], atol=1e-3)
    # Files older than PyTorch 0.4.1 have no counters.
    state.pop('backbone.1.num_batches_tracked')
    assert load_strict(model, state, 'old.pth') == []


@pytest.mark.parametrize('change, says', [
    (lambda s: s.pop('backbone.0.bias'), '1 missing in the file: backbone.0.bias. Give'),
    (lambda s: s.update({f'more.{i}': torch.zeros(1) for i in range(9)}), '9 surplus in the file: more.0, more.1, more.2 and 6 more. Give'),
    (lambda s: s.update({'decode_head.conv_seg.weight': torch.zeros(19, 4, 1, 1)}),
     '1 of another shape: decode_head.conv_seg.weight is (19, 4, 1, 1), the model has (3, 4, 1, 1) (19 classes against 3)'),
    (lambda s: s.update({'backbone.0.weight': torch.zeros(4, 2, 3, 3, dtype=torch.complex64)}), '1 of another type: backbone.0.weight is'),
    (lambda s: s.update({'backbone.0.bias': torch.zeros(4, dtype=torch.long)}), '1 of another type: backbone.0.bias is torch.int64'),
    (lambda s: s['backbone.1.running_var'].fill_(torch.nan), '1 with values that are not finite'),
    (lambda s: s['backbone.0.weight'].select(0, 2).fill_(-torch.inf), 'not finite (NaN or infinite; the run'),
    (lambda s: [s.pop(key) for key in list(s)] and s.update(other=torch.zeros(1)),
     'no key of the file is one of the model (1 in the file, the first other; 9 in the model, the first backbone.0.weight,'),
    (lambda s: [s.update({f'model.{key}': s.pop(key)}) for key in list(s)], 'no key of the file is one of the model'),
])
def test_what_does_not_fit_is_one_line_and_changes_nothing(change, says):
    model, state = net(), source()
    before = values(model)
    change(state)
    with pytest.raises(WeightsError) as info:
        load_strict(model, state, 'run/file.pth', what='the segmentor', cure='Give another.')
    message = str(info.value)
    assert message.startswith('run/file.pth does not fit the segmentor, nothing was loaded: ') and '\n' not in message
    assert says in message and message.endswith(' Give another.') and len(message) < 500
    assert equal(model.state_dict(), before)


def test_only_what_is_named_may_be_missing_and_nothing_surplus():
    model, state = net(), source()
    initial = values(model)
    alone = {key: value for key, value in state.items() if key.startswith('backbone.')}
    missing = load_strict(model, alone, 'f', allow_missing=['decode_head'])
    assert missing == ['decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']
    assert torch.equal(model.decode_head.conv_seg.weight, initial['decode_head.conv_seg.weight'])
    assert torch.equal(model.backbone[0].weight, state['backbone.0.weight'])
    for allowed in ([], ['decode'], ['decode_head.conv'], ['head'], ['backbone']):  # whole names, not beginnings
        with pytest.raises(WeightsError, match='2 missing in the file: decode_head'):
            load_strict(model, alone, 'f', allow_missing=allowed)
    with pytest.raises(WeightsError, match='surplus in the file: head.x'):
        load_strict(model, dict(state, **{'head.x': torch.zeros(1)}), 'f')
    # What may be missing must fit where it is there.
    with pytest.raises(WeightsError, match='another shape'):
        load_strict(net(5), state, 'f', allow_missing=['decode_head'])


def test_values_that_are_meant_not_to_be_finite():
    """A mask of -inf that the module itself has."""
    module = nn.Module()
    module.register_buffer('mask', torch.tensor([0., -torch.inf]))
    assert load_strict(module, dict(mask=torch.tensor([-torch.inf, 0.])), 'f') == []
    assert differences(dict(mask=torch.zeros(2)), module.state_dict()).startswith('1 with values')


def test_the_model_inside_a_wrapper():
    class TTA(BaseTTAModel):
        def merge_preds(self, data_samples_list):
            return data_samples_list

    inner = net()
    wrapper = TTA.__new__(TTA)
    nn.Module.__init__(wrapper)
    wrapper.module = inner
    load_strict(wrapper, source(), 'f')
    assert equal(inner.state_dict(), source())


def test_shapes_that_the_module_interpolates_itself():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.pos_embed = nn.Parameter(torch.zeros(2))
            self.register_load_state_dict_pre_hook(lambda m, state, prefix, *a: state.update(pos_embed=state['pos_embed'][::2]))

    module, state = Positions(), dict(pos_embed=torch.arange(4.))
    with pytest.raises(WeightsError, match='another image or patch size'):
        load_strict(module, state, 'f')
    load_strict(module, state, 'f', resized=['pos_embed'])
    assert module.pos_embed.tolist() == [0, 2]
