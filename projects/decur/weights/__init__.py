"""Checkpoints of others in, ours out, with strict reports."""
from .io import load_file, register, save_file, unwrap
from .metadata_hook import MetadataHook

register()

__all__ = ['MetadataHook', 'load_file', 'save_file', 'unwrap']
