"""Stop before a loss that is not finite reaches the weights, and keep the last good state."""
import functools
import os
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor

from decur.errors import some
from decur.gathering import any_process
from decur.modalities import non_finite, split
from decur.models.preprocessing import sample_names
from decur.weights.strict import inner_model


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """End training with ``FloatingPointError`` when a loss or a gradient is not finite, after writing the last good state.

    The loss is looked at before the backward pass and the gradients before the optimiser's step, so the weights and the optimiser's state
    are still those of the last good step; batch norm statistics, which the bad batch has changed already, are put back. The state is
    written to ``<work_dir>/last_good_iter_<n>.pth``; it can be resumed. Gradients are not checked under a float16 loss scaler, which skips
    such steps itself. In a distributed run all processes stop together, with the same error, which names terms,
    modality, samples and channels.

    Args:
        check_gradients (bool): Look at the gradients too. Defaults to True.
    """

    priority = 'VERY_HIGH'

    def __init__(self, check_gradients: bool = True):
        self.check_gradients = check_gradients
        self._batch = None
        self._buffers = []
        self._replaced = None

    def before_train(self, runner) -> None:
        """Wrap the model's ``parse_losses`` and the optimiser's ``step`` with the checks."""
        model = inner_model(runner.model)
        parse_losses, step = model.parse_losses, runner.optim_wrapper.step

        def checked_parse_losses(losses):
            loss, log_vars = parse_losses(losses)
            bad = not bool(torch.isfinite(loss))
            if any_process(bad):
                self._stop(runner, bad, self._describe_terms(model, log_vars))
            return loss, log_vars

        @functools.wraps(step)  # a scheduler tells by an attribute of the step that it counts it
        def checked_step(**kwargs):
            # A float16 loss scaler looks itself, and gradients that it has not scaled back yet would mislead.
            scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
            if self.check_gradients and not (scaler and scaler.is_enabled()):
                grads = [p.grad for p in model.parameters() if p.grad is not None]
                # A norm is finite only if every number is (or they overflow it, which is as bad). One wait for the device.
                bad = bool(grads) and not bool(torch.isfinite(torch.stack(torch._foreach_norm(grads))).all())
                if any_process(bad):
                    self._stop(runner, bad, self._describe_gradients(model))
            return step(**kwargs)

        self._replaced = vars(runner.optim_wrapper).get('step')
        model.parse_losses, runner.optim_wrapper.step = checked_parse_losses, checked_step

    def after_train(self, runner) -> None:
        """Unwrap them."""
        inner_model(runner.model).__dict__.pop('parse_losses', None)
        runner.optim_wrapper.__dict__.pop('step', None)
        if self._replaced:  # by a scheduler
            runner.optim_wrapper.step = self._replaced
        self._batch, self._buffers = None, []

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Remember the batch norm statistics: the forward pass changes them."""
        self._batch = data_batch
        now = list(inner_model(runner.model).buffers())
        if [b.shape for b in now] != [b.shape for _, b in self._buffers]:
            self._buffers = [(buffer, buffer.clone()) for buffer in now]
            return
        self._buffers = [(buffer, copy) for buffer, (_, copy) in zip(now, self._buffers)]
        for buffer, copy in self._buffers:
            copy.copy_(buffer)

    def _stop(self, runner, bad: bool, what: str) -> None:
        """Write the last good state and raise the same error in every process."""
        with torch.no_grad():
            for buffer, copy in self._buffers:
                buffer.copy_(copy)
        name = f'last_good_iter_{runner.iter}.pth'
        runner.save_checkpoint(runner.work_dir, name, meta=dict(epoch=runner.epoch, iter=runner.iter), by_epoch=False)
        # Every process must know what the others found: the launcher shows the error of any one of them.
        found = all_gather_object((bad, what, self._describe_inputs(inner_model(runner.model))))
        what = next((what for bad, what, _ in found if bad), what)
        data = ' '.join(text for *_, text in found if text) or 'The data of this batch are finite.'
        path = os.path.join(runner.work_dir, name)
        raise FloatingPointError(f'training stopped in epoch {runner.epoch + 1}, iteration {runner.iter + 1}: {what} {data} '
                                 f'The last good state is in {path}.')

    @staticmethod
    def _describe_terms(model, log_vars: Mapping) -> str:
        """Name the terms that are not finite and the modalities that these have in common."""
        bad = {name: float(value.detach()) for name, value in log_vars.items()
               if isinstance(value, Tensor) and not bool(torch.isfinite(value))}
        # The total and what is derived from embeddings say nothing that the terms do not.
        derived = ('diag_', 'participation_ratio_', 'spread_')
        terms = {name: value for name, value in bad.items() if name != 'loss' and not name.startswith(derived)}
        text = 'the loss is not finite: ' + ', '.join(f'{name} = {value}' for name, value in (terms or bad).items()) + '.'
        modalities = list(getattr(model, 'modalities', None) or {})
        named = [m for m in modalities if f'intra_{m}' in terms] or [m for m in modalities if any(_names(name, m) for name in terms)]
        if named:
            text += f' Modality: {", ".join(named)}.'
        parameters = [name for name, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
        if parameters:
            text += f' {len(parameters)} parameters were not finite before, the first is {parameters[0]}.'
        return text

    @staticmethod
    def _describe_gradients(model) -> str:
        bad = [name for name, p in model.named_parameters() if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
        modalities = [m for m in getattr(model, 'modalities', None) or {} if any(f'.{m}.' in name for name in bad)]
        where = f' Modality: {", ".join(modalities)}.' if modalities else ''
        return f'the loss is finite, but gradients are not: {some(bad) or "their norm overflows"}.{where}'

    def _describe_inputs(self, model) -> str:
        """Say in which samples, modalities and channels the data of this process are not finite; empty if they are."""
        batch = self._batch if isinstance(self._batch, Mapping) else {}
        inputs, samples = batch.get('inputs'), batch.get('data_samples') or []
        modalities = getattr(getattr(model, 'data_preprocessor', None), 'modalities', None) or {}
        ids = sample_names(samples)
        texts = []
        if isinstance(inputs, Mapping):
            for name, value in inputs.items():  # of two views the first that is bad
                bands = (modalities.get(name) or {}).get('bands')
                views = [value] if isinstance(value, Tensor) else value
                texts.append(next((text for x in views if (text := non_finite(name, x, bands, ids))), None))
        elif isinstance(inputs, Sequence) and modalities:  # mmseg's list of images, each of another size perhaps
            for index, image in enumerate(inputs):
                for name, x in split(image, modalities, axis=0).items():
                    texts.append(non_finite(name, x[None], modalities[name].get('bands'), ids[index:index + 1] or [index]))
        found = [f'The data are not finite: {text}.' for text in texts if text]
        return ' '.join(found[:4]) + (f' And {len(found) - 4} more.' if len(found) > 4 else '')


def _names(term: str, modality: str) -> bool:
    """Whether a term's name, such as ``common_rgb_hha``, names a modality."""
    return f'_{modality}_' in f'{term}_'
