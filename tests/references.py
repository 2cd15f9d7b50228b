"""Encoders and CMX by other means than this project's models: torchvision's ResNet, and plain functions of the weights for the rest.

The encoders take the state dict of a stream (``encoder.*``, ``attention.<stage>.*``, ``head.*``) in float64 and images ``(N, C, H, W)``,
and give features ``(N, F)``. They follow the papers with nothing but matrix products, convolutions and norms.
"""
import torch
from torch.nn import functional as F


def below(state, prefix):
    return {key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)}


def linear(state, name, x):
    return x @ state[f'{name}.weight'].flatten(1).T + state[f'{name}.bias']


def norm(state, name, x, eps=1e-6):
    """Layer norm over the last axis."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * state[f'{name}.weight'] + state[f'{name}.bias']


def attend(q, k, v, heads, bias=0.):
    """Attention with its matrix: queries ``(N, L, C)``, keys and values ``(N, l, C)``; ``bias`` broadcasts to (N, heads, L, l)."""
    q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    return ((q @ k.transpose(2, 3) / q.shape[3]**.5 + bias).softmax(3) @ v).transpose(1, 2).flatten(2)


def resnet50(state, x):
    """torchvision's ResNet50, with residual deformable attention after a stage that has one."""
    import torchvision  # decur.compat must have run

    encoder = below(state, 'encoder.')
    net = torchvision.models.resnet50()
    net.conv1 = torch.nn.Conv2d(x.shape[1], 64, 7, 2, 3, bias=False)
    net.fc = torch.nn.Identity()
    net.load_state_dict(encoder)
    net = net.double().eval()
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    for stage, (heads, groups, stride) in enumerate(((0, 0, 0), (0, 0, 0), (8, 4, 2), (16, 8, 1))):
        x = getattr(net, f'layer{stage + 1}')(x)
        if attention := below(state, f'attention.{stage}.'):
            x = x + deformable(attention, x, heads, groups, stride)
    return x.mean((2, 3))


def bilinear(image, y, x):
    """Values of ``(C, H, W)`` at places ``(...)`` from -1 (the first pixel's centre) to 1 (the last's): ``(..., C)``."""
    height, width = image.shape[1:]
    row, column = (y + 1) / 2 * (height - 1), (x + 1) / 2 * (width - 1)
    top, left = row.floor().clamp(0, height - 2).long(), column.floor().clamp(0, width - 2).long()
    down, right = (row - top)[..., None], (column - left)[..., None]
    pixels = image.permute(1, 2, 0)
    return ((1 - down) * ((1 - right) * pixels[top, left] + right * pixels[top, left + 1])
            + down * ((1 - right) * pixels[top + 1, left] + right * pixels[top + 1, left + 1]))


def places(size, shift):
    return (torch.arange(size, dtype=torch.float64) + shift) / (size - 1) * 2 - 1


def deformable(state, maps, heads, groups, stride):
    """Deformable attention (arXiv 2309.01430) as in the published code of DeCUR, image by image and group by group."""
    out = []
    for image in maps:
        channels, height, width = image.shape
        q = linear(state, 'proj_q', image.flatten(1).T)
        sampled, biases = [], []
        for group, part in enumerate(q.T.reshape(groups, 1, channels // groups, height, width)):
            kernel = state['conv_offset.0.weight']
            hidden = F.conv2d(part, kernel, state['conv_offset.0.bias'], stride, kernel.shape[2] // 2, groups=len(kernel))[0]
            rows, columns = hidden.shape[1:]
            tokens = norm(state, 'conv_offset.1.norm', hidden.flatten(1).T, 1e-5)
            offsets = F.gelu(tokens) @ state['conv_offset.3.weight'].flatten(1).T
            y = (offsets[:, 0] + places(rows, .5).repeat_interleave(columns)).clamp(-1, 1)
            x = (offsets[:, 1] + places(columns, .5).repeat(rows)).clamp(-1, 1)
            sampled.append(bilinear(image.reshape(groups, -1, height, width)[group], y, x))
            tables = state['rpe_table'].reshape(groups, heads // groups, *state['rpe_table'].shape[1:])
            biases.append(bilinear(tables[group], (places(height, 0.).repeat_interleave(width)[:, None] - y) / 2,
                                   (places(width, 0.).repeat(height)[:, None] - x) / 2).permute(2, 0, 1))
        points = torch.cat(sampled, 1)
        attended = attend(q[None], linear(state, 'proj_k', points)[None], linear(state, 'proj_v', points)[None], heads, torch.cat(biases))
        out.append(linear(state, 'proj_out', attended[0]).T.reshape(image.shape))
    return torch.stack(out)


def vit(state, x, heads=6, patch=16):
    """The class token of a Vision Transformer (arXiv 2010.11929) of the image size that it has positions for."""
    state = below(state, 'encoder.')
    x = F.conv2d(x, state['patch_embed.projection.weight'], state['patch_embed.projection.bias'], patch).flatten(2).transpose(1, 2)
    x = torch.cat([state['cls_token'].expand(len(x), -1, -1), x], 1) + state['pos_embed']
    for index in range(12):
        layer = below(state, f'layers.{index}.')
        x = x + linear(layer, 'attn.proj', attend(*linear(layer, 'attn.qkv', norm(layer, 'ln1', x)).chunk(3, -1), heads))
        x = x + linear(layer, 'ffn.layers.1', F.gelu(linear(layer, 'ffn.layers.0.0', norm(layer, 'ln2', x))))
    return norm(state, 'ln1', x[:, 0])


def mit(state, x, depths):
    """SegFormer's MiT (arXiv 2105.15203), pooled, with the linear layer of the published RGB-D models."""
    for index, depth in enumerate(depths):
        stage = below(state, f'encoder.layers.{index}.')
        names = dict(proj='0.projection', patch_norm='0.norm', block='1.{}', norm='2', attn='attn.attn.out_proj', fc1='ffn.layers.0',
                     dwconv='ffn.layers.1', fc2='ffn.layers.4')
        for number in range(depth):  # query, key and value are one matrix in mmseg's names
            for kind in ('weight', 'bias'):
                joined = stage[f'1.{number}.attn.attn.in_proj_{kind}']
                stage[f'1.{number}.attn.q.{kind}'], stage[f'1.{number}.attn.kv.{kind}'] = joined.tensor_split((len(joined) // 3, ))
        x = mit_stage(stage, names, index, depth, x)
    return linear(state, 'head', x.mean((2, 3)))


def mit_stage(state, names, index, depth, x):
    """A stage: overlapping patches, blocks of efficient attention and MixFFN, a norm. ``names`` are those of its layers."""
    heads, reduction = (1, 2, 5, 8)[index], (8, 4, 2, 1)[index]
    kernel = state[names['proj'] + '.weight']
    x = F.conv2d(x, kernel, state[names['proj'] + '.bias'], 4 if index == 0 else 2, kernel.shape[2] // 2)
    size = x.shape[2:]
    x = norm(state, names['patch_norm'], x.flatten(2).transpose(1, 2), 1e-5)
    for number in range(depth):
        block = below(state, names['block'].format(number) + '.')
        tokens = source = norm(block, 'norm1', x)
        if reduction > 1:
            source = F.conv2d(tokens.transpose(1, 2).unflatten(2, size), block['attn.sr.weight'], block['attn.sr.bias'], reduction)
            source = norm(block, 'attn.norm', source.flatten(2).transpose(1, 2), 1e-5)
        attended = attend(linear(block, 'attn.q', tokens), *linear(block, 'attn.kv', source).chunk(2, -1), heads)
        x = x + linear(block, names['attn'], attended)
        hidden = linear(block, names['fc1'], norm(block, 'norm2', x)).transpose(1, 2).unflatten(2, size)
        depthwise = names['dwconv']
        hidden = F.conv2d(hidden, block[f'{depthwise}.weight'], block[f'{depthwise}.bias'], padding=1, groups=hidden.shape[1])
        x = x + linear(block, names['fc2'], F.gelu(hidden).flatten(2).transpose(1, 2))
    return norm(state, names['norm'], x).transpose(1, 2).unflatten(2, size)


def conv(state, name, x, **kwargs):
    return F.conv2d(x, state[f'{name}.weight'], state.get(f'{name}.bias'), **kwargs)


def batch_norm(state, name, x):
    return F.batch_norm(x, *(state[f'{name}.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias')))


def cmx(state, rgb, other, depths):
    """CMX (arXiv 2203.04838) with MiT encoders and the MLP decoder, with weights in the published names: logits at a quarter of the size.

    Evaluation mode, lambda_c = lambda_s = 1/2.
    """
    maps, fused = [rgb, other], []
    for index, depth in enumerate(depths):
        for i, extra in enumerate(('', 'extra_')):
            number = index + 1
            names = dict(proj=f'{extra}patch_embed{number}.proj', patch_norm=f'{extra}patch_embed{number}.norm',
                         block=f'{extra}block{number}.{{}}', norm=f'{extra}norm{number}', attn='attn.proj', fc1='mlp.fc1',
                         dwconv='mlp.dwconv.dwconv', fc2='mlp.fc2')
            maps[i] = mit_stage(below(state, 'backbone.'), names, index, depth, maps[i])
        maps = _rectify(below(state, f'backbone.FRMs.{index}.'), *maps)
        fused.append(_fuse(below(state, f'backbone.FFMs.{index}.'), maps, (1, 2, 5, 8)[index]))
    head = below(state, 'decode_head.')
    size = fused[0].shape[2:]
    parts = []
    for number in (4, 3, 2, 1):
        x = fused[number - 1]
        x = linear(head, f'linear_c{number}.proj', x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])
        parts.append(F.interpolate(x, size, mode='bilinear', align_corners=False))
    x = batch_norm(head, 'linear_fuse.1', conv(head, 'linear_fuse.0', torch.cat(parts, 1))).relu()
    return conv(head, 'linear_pred', x)


def _rectify(state, a, b):
    both = torch.cat([a, b], 1)
    pooled = torch.cat([both.mean((2, 3)), both.amax((2, 3))], 1)
    channel = linear(state, 'channel_weights.mlp.2', linear(state, 'channel_weights.mlp.0', pooled).relu()).sigmoid()
    spatial = conv(state, 'spatial_weights.mlp.2', conv(state, 'spatial_weights.mlp.0', both).relu()).sigmoid()
    (ca, cb), (sa, sb) = channel[..., None, None].chunk(2, 1), spatial.chunk(2, 1)
    return [a + (cb * b + sb * b) / 2, b + (ca * a + sa * a) / 2]


def _fuse(state, maps, heads):
    size = maps[0].shape[2:]
    tokens = [x.flatten(2).transpose(1, 2) for x in maps]
    kept, sent, contexts = [], [], []
    for number, x in enumerate(tokens, 1):
        y, u = linear(state, f'cross.channel_proj{number}', x).relu().chunk(2, -1)
        k, v = (u @ state[f'cross.cross_attn.kv{number}.weight'].T).chunk(2, -1)
        k, v, u = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (k, v, u))
        kept.append(y)
        sent.append(u)
        contexts.append((k.transpose(2, 3) @ v / k.shape[3]**.5).softmax(2))
    out = []
    for i, number in enumerate((1, 2)):
        received = (sent[i] @ contexts[1 - i]).transpose(1, 2).flatten(2)
        mixed = tokens[i] + linear(state, f'cross.end_proj{number}', torch.cat([kept[i], received], -1))
        out.append(norm(state, f'cross.norm{number}', mixed, 1e-5))
    merged = torch.cat(out, -1).transpose(1, 2).unflatten(2, size)
    x = conv(state, 'channel_emb.channel_embed.0', merged)
    x = conv(state, 'channel_emb.channel_embed.1', x, padding=1, groups=x.shape[1]).relu()
    x = batch_norm(state, 'channel_emb.channel_embed.4', conv(state, 'channel_emb.channel_embed.3', x))
    return batch_norm(state, 'channel_emb.norm', conv(state, 'channel_emb.residual', merged) + x)
