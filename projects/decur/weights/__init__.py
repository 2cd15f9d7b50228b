"""Checkpoints of others in, ours out, with strict reports."""
from .io import load_file, save_file, unwrap
from .metadata_hook import MetadataHook
from .sources import register
from .strict import load_strict

register()

__all__ = ['MetadataHook', 'load_file', 'load_strict', 'save_file', 'unwrap']
