"""Where weights come from: a local file, an address, torchvision, or a Hugging Face repository, all as one string."""
from pathlib import Path

from ..errors import WeightsError
from .io import check_sha256, download


def fetch(source, sha256: str | None = None) -> Path:
    """The local file of a source of weights, downloaded once if need be.

    Args:
        source (str or Path): A path; ``http(s)://...``; ``torchvision://resnet50`` (ImageNet weights of that name, version 1);
            ``hf://OWNER/REPO/FILE``, optionally ``hf://OWNER/REPO@REVISION/FILE`` (needs ``huggingface_hub``).
        sha256 (str, optional): The digest (or its first letters) that the file must have.

    Returns:
        Path: The file.

    Raises:
        WeightsError: If there is no such file, it cannot be fetched, or its digest is another.
    """
    source = str(source)
    scheme, _, rest = source.partition('://')
    if not rest:
        path = Path(source).expanduser()
        try:
            found = path.is_file()
        except OSError as error:  # a name that is too long
            raise WeightsError(f'{source[:200]}: cannot be read ({error.strerror}).') from error
        if not found:
            raise WeightsError(f'{source}: no such checkpoint file.')
    elif scheme in ('http', 'https'):
        path = download(source, sha256)
    elif scheme == 'torchvision':
        path = download(_torchvision_address(rest), sha256)
    elif scheme == 'hf':
        path = _from_hub(source, rest)
    else:
        raise WeightsError(f'{source}: unknown kind of source {scheme!r}; use a path, http(s)://, torchvision://NAME or hf://OWNER/REPO/FILE.')
    if sha256:
        check_sha256(path, sha256)
    return path


def _torchvision_address(name: str) -> str:
    from torchvision.models import get_model_weights
    try:
        weights = get_model_weights(name)
    except ValueError as error:
        raise WeightsError(f'torchvision://{name}: torchvision has no model of that name.') from error
    # Version 1: what the published code and OpenMMLab's zoo started from.
    return getattr(weights, 'IMAGENET1K_V1', weights.DEFAULT).url


def _from_hub(source: str, rest: str) -> Path:
    parts = rest.split('/', 2)
    if len(parts) < 3 or not all(parts):
        raise WeightsError(f'{source}: expected hf://OWNER/REPO/FILE.')
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise WeightsError(f'{source}: needs huggingface_hub: pip install huggingface_hub.') from error
    name, _, revision = parts[1].partition('@')
    try:
        return Path(hf_hub_download(f'{parts[0]}/{name}', parts[2], revision=revision or None))
    except Exception as error:  # the hub raises many kinds: no network, no such repository, file or revision, no access
        reason = str(error).strip().splitlines()
        raise WeightsError(f'{source}: could not be fetched ({type(error).__name__}: {reason[0] if reason else "no reason given"}). '
                           'Check the name, or fetch the file by hand and give its path.') from error
