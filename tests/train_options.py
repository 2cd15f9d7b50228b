"""Options that scale the canonical pretraining config down to seconds, for tests that run it as a command."""
import socket

#: The canonical config, scaled down to seconds: the network is the config's own, the data are small.
SCALE = [
    'neck.hid_channels=64', 'neck.out_channels=64', 'head.common_dim=48'
]
OPTIONS = [
    *(f'model.{option}' for option in SCALE),
    # init_cfg=None: no ImageNet weights, which would be fetched.
    *(f'modalities.{name}.{option}' for name in ('rgb', 'hha') for option in (
        'encoder.arch=b0', 'encoder.init_cfg=None', 'augmentation.size=32')),
    'train_dataloader.batch_size=8', 'train_dataloader.num_workers=1',
    'train_dataloader.pin_memory=False', 'train_cfg.max_epochs=4', 'param_scheduler.0.T_max=4',
    'default_hooks.logger.interval=1'
]


def port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]
