# DeCUR with CUDA, which comes with the wheels of PyTorch; the machine needs NVIDIA's driver and container toolkit. From the root of the checkout:
#   docker build -f docker/cuda.Dockerfile -t decur:cuda .
#   docker run --rm -it --gpus all --ipc=host -v "$PWD":/work decur:cuda train configs/decur/decur_sunrgbd.py --amp
# Several GPUs: docker run ... --entrypoint torchrun decur:cuda --nproc_per_node=8 -m decur_command train CONFIG --launcher pytorch
FROM python:3.11-slim
# Where PyTorch comes from; empty for pip's index. Another CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/constraints.txt /tmp/
RUN pip install -c /tmp/constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
COPY . /tmp/decur
# The headless OpenCV takes the place of opencv-python, which wants libGL.
RUN pip install -c /tmp/constraints.txt '/tmp/decur[data,explain,tensorboard]' && bash /tmp/decur/tools/fix_opencv.sh && rm -rf /tmp/decur
WORKDIR /work
ENTRYPOINT ["decur"]
CMD ["--help"]
