#!/usr/bin/env bash
# opencv-python links libraries of the screen (libGL, libxcb), which slim images lack; then the headless build of the same version takes its
# place: tools/fix_opencv.sh [PYTHON]
set -euo pipefail
PYTHON=${1:-python}
if REASON=$("$PYTHON" -c 'import cv2' 2>&1); then
    exit 0
fi
# Only a missing system library is mended here; anything else is shown.
if ! grep -qE 'lib[^ ]+\.so[^ ]*: cannot open shared object file' <<< "$REASON"; then
    echo "$REASON" >&2
    exit 1
fi
VERSION=$("$PYTHON" -c 'from importlib.metadata import version; print(version("opencv-python"))')
echo "import cv2 fails for want of a system library: installing opencv-python-headless==$VERSION in its place"
"$PYTHON" -m pip uninstall --quiet --yes opencv-python
"$PYTHON" -m pip install --quiet --disable-pip-version-check "opencv-python-headless==$VERSION"
"$PYTHON" -c 'import cv2'
