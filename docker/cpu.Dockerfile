# DeCUR without CUDA. From the root of the checkout:
#   docker build -f docker/cpu.Dockerfile -t decur:cpu .
#   docker run --rm -it --shm-size=2g -v "$PWD":/work decur:cpu train configs/quickstart/rooms_rgb-hha_small-resnet_decur.py
# Data workers hand their batches over in shared memory: --shm-size, or --ipc=host.
FROM python:3.11-slim
# Where PyTorch comes from; another one by --build-arg TORCH_INDEX=...
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/constraints.txt /tmp/
RUN pip install -c /tmp/constraints.txt --index-url "$TORCH_INDEX" torch torchvision
COPY . /tmp/decur
# The headless OpenCV takes the place of opencv-python, which wants libGL.
RUN pip install -c /tmp/constraints.txt '/tmp/decur[data,explain,tensorboard]' && bash /tmp/decur/tools/fix_opencv.sh && rm -rf /tmp/decur
WORKDIR /work
ENTRYPOINT ["decur"]
CMD ["--help"]
