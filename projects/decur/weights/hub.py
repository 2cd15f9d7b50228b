"""Files and whole models on the Hugging Face hub, with errors that say what to do. Needs ``huggingface_hub``."""
import os
from pathlib import Path

from ..errors import WeightsError, first_line

#: What a folder of a model holds, on the hub and on a disk; :mod:`decur.apis.hub` writes it.
CONFIG, WEIGHTS, EXAMPLE, CARD = 'config.json', 'model.safetensors', 'example.safetensors', 'README.md'


def hub_api(what: str):
    """The hub's client; ``HF_ENDPOINT`` names another hub, also when it was set after the library was imported.

    Raises:
        WeightsError: If huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise WeightsError(f'{what}: needs huggingface_hub: pip install huggingface_hub.') from error
    return HfApi(endpoint=os.environ.get('HF_ENDPOINT') or None)


def from_hub(source: str) -> Path:
    """The local file of ``hf://OWNER/REPO/FILE``, or the weights of the model ``hf://OWNER/REPO``; ``REPO@REVISION`` names a revision.

    Files are kept in the hub's cache, from which they are taken where there is no network (``HF_HUB_OFFLINE=1`` asks nobody).

    Raises:
        WeightsError: If it cannot be fetched.
    """
    owner, _, rest = source.removeprefix('hf://').partition('/')
    repository, _, file = rest.partition('/')
    name, _, revision = repository.partition('@')
    if not owner or not name or rest.endswith('/'):
        raise WeightsError(f'{source}: expected hf://OWNER/REPO of a model of this project, or hf://OWNER/REPO/FILE.')
    api = hub_api(source)

    def fetch(file: str) -> Path:
        return Path(api.hf_hub_download(f'{owner}/{name}', file, revision=revision or None))

    try:
        if file:
            return fetch(file)
        weights = fetch(WEIGHTS)
        fetch(CONFIG)
    except Exception as error:  # the hub raises many kinds: no network, no such repository, file or revision, no access
        raise WeightsError(f'{source}: {explain(error, f"{owner}/{name}", file)}') from error
    try:
        fetch(EXAMPLE)
    except Exception as error:
        if type(error).__name__ not in ('EntryNotFoundError', 'RemoteEntryNotFoundError', 'LocalEntryNotFoundError'):
            raise WeightsError(f'{source}: {explain(error, f"{owner}/{name}", EXAMPLE)}') from error
    return weights


def explain(error: Exception, repository: str, file: str = '', writing: bool = False) -> str:
    """What went wrong with the hub and what to do, as the end of a line."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, 'response', None), 'status_code', None)
    what = f'could not be {"written" if writing else "fetched"} ({first_line(error)})'
    if 'GatedRepoError' in kinds:
        return f'{what}. Its owner grants access one by one: ask on the page of {repository}, then log in with `hf auth login`.'
    if kinds & {'LocalTokenNotFoundError'} or status == 401 and writing:
        return f'{what}. Nobody is logged in, or the token is not valid: run `hf auth login` with a token that may write, or pass token=.'
    if status == 403:
        return (f'{what}. The token has no permission {"to write to" if writing else "to read"} {repository}: log in with `hf auth login` '
                f'as somebody who has, or {"push to a repository of your own" if writing else "ask its owner"}.')
    if 'RepositoryNotFoundError' in kinds:
        return (f'{what}. There is no repository {repository}, or it is private and nobody is logged in: check the name, or run '
                '`hf auth login`.')
    if 'RevisionNotFoundError' in kinds:
        return f'{what}. The repository {repository} has no such revision.'
    if kinds & {'EntryNotFoundError'} and 'LocalEntryNotFoundError' not in kinds:
        if not file:
            return (f'{what}. {repository} is no model that push_to_hub wrote: name one of its files, hf://{repository}/FILE, and the '
                    'config of its encoders, config=....')
        return f'{what}. The repository {repository} has no file {file}.'
    if 'HFValidationError' in kinds:
        return f'{what}. The name of a repository is OWNER/NAME.'
    if writing:
        return f'{what}. Nothing else is lost: save_pretrained(FOLDER) writes the same files to a folder.'
    return (f'{what}. Without network: run `hf download {repository}{" " + file if file else " --local-dir FOLDER"}` where there is one, '
            f'and give the path of the {"file" if file else "folder"}.')
