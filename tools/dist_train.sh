#!/usr/bin/env bash
# Train on several processes of one machine (or of NNODES machines): tools/dist_train.sh CONFIG GPUS [options of train.py]
# Without a GPU the processes run on the CPU (gloo).
set -euo pipefail
if [ $# -lt 2 ] || ! [[ $2 =~ ^[0-9]+$ ]]; then
    echo "usage: $0 CONFIG GPUS [--resume] [--amp] [--cfg-options KEY=VALUE ...]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
exec "${PYTHON:-python}" "$(dirname "$0")/torchrun.py" --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$GPUS" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
