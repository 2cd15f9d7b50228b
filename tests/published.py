"""State dicts in the names of published code, with random numbers: what tests convert."""
import torch

DIMS, DEPTHS, SR = (32, 64, 160, 256), (2, 2, 2, 2), (8, 4, 2, 1)


def _add(state, name, out, *rest, bias=True):
    state[f'{name}.weight'] = torch.randn(out, *rest) * .05 + (1. if not rest else 0.)
    if bias:
        state[f'{name}.bias'] = torch.randn(out) * .05


def _bn(state, name, channels):
    _add(state, name, channels)
    state[f'{name}.running_mean'] = torch.randn(channels)
    state[f'{name}.running_var'] = torch.rand(channels) + .5
    state[f'{name}.num_batches_tracked'] = torch.tensor(3)


def mit(prefix='', extra='', dims=DIMS, depths=DEPTHS, classes=0):
    """SegFormer's MiT; ``extra`` is inserted as in CMX's second stream."""
    state, before = {}, 3
    for i, (c, depth, sr) in enumerate(zip(dims, depths, SR), 1):
        at = f'{prefix}{extra}patch_embed{i}'
        kernel = 7 if i == 1 else 3
        _add(state, f'{at}.proj', c, before, kernel, kernel)
        _add(state, f'{at}.norm', c)
        for n in range(depth):
            at = f'{prefix}{extra}block{i}.{n}'
            _add(state, f'{at}.norm1', c)
            _add(state, f'{at}.attn.q', c, c)
            _add(state, f'{at}.attn.kv', 2 * c, c)
            _add(state, f'{at}.attn.proj', c, c)
            if sr > 1:
                _add(state, f'{at}.attn.sr', c, c, sr, sr)
                _add(state, f'{at}.attn.norm', c)
            _add(state, f'{at}.norm2', c)
            _add(state, f'{at}.mlp.fc1', 4 * c, c)
            _add(state, f'{at}.mlp.dwconv.dwconv', 4 * c, 1, 3, 3)
            _add(state, f'{at}.mlp.fc2', c, 4 * c)
        _add(state, f'{prefix}{extra}norm{i}', c)
        before = c
    if classes:
        _add(state, f'{prefix}head', classes, dims[-1])
    return state


def cmx(classes=5, dims=DIMS, depths=DEPTHS):
    """The published CMX segmentor."""
    state = {**mit('backbone.', dims=dims, depths=depths), **mit('backbone.', 'extra_', dims=dims, depths=depths)}
    for i, c in enumerate(dims):
        _add(state, f'backbone.FRMs.{i}.channel_weights.mlp.0', 4 * c, 4 * c)
        _add(state, f'backbone.FRMs.{i}.channel_weights.mlp.2', 2 * c, 4 * c)
        _add(state, f'backbone.FRMs.{i}.spatial_weights.mlp.0', c, 2 * c, 1, 1)
        _add(state, f'backbone.FRMs.{i}.spatial_weights.mlp.2', 2, c, 1, 1)
        at = f'backbone.FFMs.{i}.'
        for n in (1, 2):
            _add(state, f'{at}cross.channel_proj{n}', 2 * c, c)
            _add(state, f'{at}cross.cross_attn.kv{n}', 2 * c, c, bias=False)
            _add(state, f'{at}cross.end_proj{n}', c, 2 * c)
            _add(state, f'{at}cross.norm{n}', c)
        _add(state, f'{at}channel_emb.residual', c, 2 * c, 1, 1, bias=False)
        _add(state, f'{at}channel_emb.channel_embed.0', c, 2 * c, 1, 1)
        _add(state, f'{at}channel_emb.channel_embed.1', c, 1, 3, 3)
        _add(state, f'{at}channel_emb.channel_embed.3', c, c, 1, 1)
        _bn(state, f'{at}channel_emb.channel_embed.4', c)
        _bn(state, f'{at}channel_emb.norm', c)
        _add(state, f'decode_head.linear_c{i + 1}.proj', 512, c)
    _add(state, 'decode_head.linear_fuse.0', 512, 2048, 1, 1)
    _bn(state, 'decode_head.linear_fuse.1', 512)
    _add(state, 'decode_head.linear_pred', classes, 512, 1, 1)
    return state


def resnet(prefix='', channels=3, depth=50, classes=0, width=64):
    """torchvision's ResNet50; ``width`` channels after its first layer."""
    state = {}
    _add(state, f'{prefix}conv1', width, channels, 7, 7, bias=False)
    _bn(state, f'{prefix}bn1', width)
    before = width
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        width *= 1 if layer == 1 else 2
        for n in range(blocks):
            at = f'{prefix}layer{layer}.{n}'
            for k, (out, inside, size) in enumerate(((width, before, 1), (width, width, 3), (4 * width, width, 1)), 1):
                _add(state, f'{at}.conv{k}', out, inside, size, size, bias=False)
                _bn(state, f'{at}.bn{k}', out)
            if n == 0:
                _add(state, f'{at}.downsample.0', 4 * width, before, 1, 1, bias=False)
                _bn(state, f'{at}.downsample.1', 4 * width)
            before = 4 * width
    if classes:
        _add(state, f'{prefix}fc', classes, before)
    return state


def vit(prefix='', channels=3, width=384, depth=12, classes=0):
    """timm's vit_small_patch16_224."""
    state = {f'{prefix}cls_token': torch.randn(1, 1, width), f'{prefix}pos_embed': torch.randn(1, 197, width)}
    _add(state, f'{prefix}patch_embed.proj', width, channels, 16, 16)
    for n in range(depth):
        at = f'{prefix}blocks.{n}'
        _add(state, f'{at}.norm1', width)
        _add(state, f'{at}.attn.qkv', 3 * width, width)
        _add(state, f'{at}.attn.proj', width, width)
        _add(state, f'{at}.norm2', width)
        _add(state, f'{at}.mlp.fc1', 4 * width, width)
        _add(state, f'{at}.mlp.fc2', width, 4 * width)
    _add(state, f'{prefix}norm', width)
    if classes:
        _add(state, f'{prefix}head', classes, width)
    return state


def decur(encoders, features, width=16):
    """The published DeCUR model, as saved from DistributedDataParallel: ``encoders`` are the two state dicts."""
    state = {}
    for i, encoder in enumerate(encoders, 1):
        state.update({f'backbone_{i}.{key}': value for key, value in encoder.items()})
    for i in (1, 2):
        before = features
        for n in (0, 3):
            _add(state, f'projector{i}.{n}', width, before, bias=False)
            _bn(state, f'projector{i}.{n + 1}', width)
            before = width
        _add(state, f'projector{i}.6', width, width, bias=False)
    state['bn.running_mean'], state['bn.running_var'] = torch.randn(width), torch.rand(width)
    state['bn.num_batches_tracked'] = torch.tensor(9)
    return dict(epoch=100, model={f'module.{key}': value for key, value in state.items()}, optimizer=dict(state={}, param_groups=[]))
