"""HHA: depth as (disparity, height above ground, angle with gravity), the three-channel form in which RGB-D networks take depth.

The encoding is that of S. Gupta et al., "Learning Rich Features from RGB-D Images for Object Detection and Segmentation" (ECCV 2014,
section 2.2); the gravity estimate is that of S. Gupta et al., "Perceptual Organization and Recognition of Indoor Scenes from RGB-D
Images" (CVPR 2013, section 5.1). Constants and corner cases are those of the authors' published images.
"""
import cv2
import numpy as np

from decur.errors import DataError

#: Window radii in pixels of the plane fits: for the angle channel, and for the gravity estimate.
NORMAL_RADIUS, GRAVITY_RADIUS = 3, 10
#: (threshold in degrees, iterations) of the two rounds of the gravity estimate.
GRAVITY_ROUNDS = ((45, 5), (15, 5))
#: Metres. A median depth outside of this range is a wrong unit rather than a room or a street.
PLAUSIBLE_DEPTH = (0.1, 80.0)
#: Focal length over the larger side of the image: fields of view of 143 to 7 degrees.
PLAUSIBLE_FOCAL = (1 / 6, 8.)
#: Images with a shorter side, in pixels, say nothing about their camera.
_SMALLEST_IMAGE = 16


def check_intrinsics(intrinsics):
    """Return (fx, fy, cx, cy) as floats.

    Args:
        intrinsics: Four numbers fx, fy, cx, cy, or a 3x3 camera matrix, in pixels (the first pixel has centre (1, 1), as
            in the data sets' calibration files; the difference to (0, 0) is below what calibration resolves).

    Raises:
        DataError: Any other shape, a value that is not finite, or a focal length that is not positive.
    """
    try:
        k = np.asarray(intrinsics, np.float64)
    except (TypeError, ValueError):
        raise DataError(f'intrinsics must be numbers, got {intrinsics!r}') from None
    if k.shape == (3, 3):
        k = np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2]])
    elif k.shape != (4, ):
        raise DataError(f'intrinsics must be (fx, fy, cx, cy) or a 3x3 camera matrix in pixels, got an array of shape {k.shape}')
    if not np.isfinite(k).all() or k[0] <= 0 or k[1] <= 0:
        raise DataError(f'intrinsics need finite values and positive focal lengths, got fx, fy, cx, cy = {k.tolist()}')
    return tuple(k.tolist())


def check_camera(intrinsics, size):
    """Return (fx, fy, cx, cy) after a check that they can be those of an image of this size.

    Args:
        intrinsics: As :func:`check_intrinsics`.
        size (tuple[int]): Height and width of the image, pixels.

    Raises:
        DataError: As :func:`check_intrinsics`; or the intrinsics are normalised (shares of the image's size), of an image of another
            size, have cx and cy swapped, or a principal point outside of the image. Images with fewer than 16 rows or columns are
            not checked.
    """
    fx, fy, cx, cy = check_intrinsics(intrinsics)
    height, width = size
    if min(height, width) < _SMALLEST_IMAGE:
        return fx, fy, cx, cy
    camera = f'intrinsics fx, fy, cx, cy = {fx:g}, {fy:g}, {cx:g}, {cy:g} do not fit an image of {height}x{width} pixels (height x width)'
    if max(fx, fy) < _SMALLEST_IMAGE and max(abs(cx), abs(cy)) <= 2:
        raise DataError(f'{camera}: they are shares of its size. Multiply fx and cx by the width, fy and cy by the height.')
    # Where the principal point lies, as shares of width and height: about 0.5.
    x, y = cx / width, cy / height
    if abs(cx / height - .5) < .1 and abs(cy / width - .5) < .1 and abs(x - .5) + abs(y - .5) > .2:
        raise DataError(f'{camera}: cx and cy are swapped. Give fx, fy, cx, cy, with cx along the width.')
    inside = 0 <= x <= 1 and 0 <= y <= 1
    scaled = abs(x - y) < .1 * max(x, y) and not 2 / 3 <= x * 2 <= 3 / 2
    if not inside or scaled:
        if scaled:
            raise DataError(f'{camera}: they are of an image of another size, perhaps of {2 * cy:.0f}x{2 * cx:.0f}. Scale them with the '
                            'image, or give those of this camera.')
        raise DataError(f'{camera}: the principal point (cx, cy) lies outside of it.')
    low, high = PLAUSIBLE_FOCAL
    for name, focal in (('fx', fx), ('fy', fy)):
        if not low <= focal / max(height, width) <= high:
            raise DataError(f'{camera}: {name} is {focal / max(height, width):.3g} times its larger side, expected {low:.2g} to {high:g} '
                            'times. Are they in pixels of this image?')
    return fx, fy, cx, cy


def check_depth(depth, name='depth'):
    """Return ``depth`` as float64 metres (H, W) with 0 where it is missing.

    Args:
        depth (ndarray): (H, W), floating point, metres. Zero, negative, NaN and infinite values are missing.
        name (str): What error messages call it (a file, if it comes from one).

    Raises:
        DataError: Not a two-dimensional floating-point array with pixels, or a median outside of :data:`PLAUSIBLE_DEPTH`.
    """
    depth = np.asarray(depth)
    if depth.ndim != 2 or depth.size == 0:
        raise DataError(f'{name}: depth must have shape (H, W) with at least one pixel, got {depth.shape}')
    if not np.issubdtype(depth.dtype, np.floating):
        hint = ('8 bits are a picture of depth, not depth: use the 16-bit original' if depth.dtype.itemsize == 1 else
                'divide by the unit of the file first (1000 for millimetres)')
        raise DataError(f'{name}: depth must be metres in floating point, got {depth.dtype}; {hint}')
    depth = depth.astype(np.float64)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    valid = depth[depth > 0]
    if valid.size:
        median = float(np.median(valid))
        if not PLAUSIBLE_DEPTH[0] <= median <= PLAUSIBLE_DEPTH[1]:
            raise DataError(f'{name}: the median depth is {median:.4g}, outside of {PLAUSIBLE_DEPTH[0]} to {PLAUSIBLE_DEPTH[1]} m; '
                            'depth must be in metres (files in millimetres are divided by 1000)')
    return depth


def _plane_moments(depth_cm, valid, fx, fy, cx, cy):
    """The nine products that the normal equations of ``n . P = d`` sum over a window, (H, W, 9); zero where not valid."""
    # Multiplied out and divided again, as the published images were made: where a window holds a few collinear pixels the
    # normal is decided by rounding.
    h, w = depth_cm.shape
    x3 = (np.arange(w) + 1 - cx) * depth_cm / fx
    y3 = ((np.arange(h) + 1 - cy)[:, None]) * depth_cm / fy
    squared = depth_cm * depth_cm
    x, y = x3 / depth_cm, y3 / depth_cm
    moments = np.empty((h, w, 9))
    np.multiply(x, x, out=moments[..., 0])
    np.multiply(x, y, out=moments[..., 1])
    moments[..., 2] = x
    np.multiply(y, y, out=moments[..., 3])
    moments[..., 4] = y
    moments[..., 5] = 1
    np.divide(x3, squared, out=moments[..., 6])
    np.divide(y3, squared, out=moments[..., 7])
    np.divide(1, depth_cm, out=moments[..., 8])
    if not valid.all():
        moments[~valid] = 0
    return moments


def _normals(moments, depth_cm, rays, radius, exact):
    """Unit normals (3, H, W) that point away from the camera; NaN where the window holds nothing or is degenerate.

    ``exact`` sums every window term by term, which leaves no residue in a window without valid pixels and reproduces the published
    images; running sums are several times faster for wide windows and serve the gravity estimate, which averages over the image.
    """
    size = 2 * radius + 1
    if exact:
        kernel = np.ones((size, size))
        sums = [cv2.filter2D(np.ascontiguousarray(moments[..., i]), cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)
                for i in range(9)]
    else:
        sums = cv2.boxFilter(moments, cv2.CV_64F, (size, size), normalize=False, borderType=cv2.BORDER_CONSTANT)
        sums = [np.ascontiguousarray(sums[..., i]) for i in range(9)]
    xx, xy, x, yy, y, n, bx, by, b = sums
    # The adjugate of the symmetric 3x3 matrix: the determinant only scales the normal, which is normalised anyway.
    a0, a1, a2 = yy * n - y * y, x * y - xy * n, xy * y - x * yy
    a3, a4, a5 = xx * n - x * x, xy * x - xx * y, xx * yy - xy * xy
    normals = np.stack([a0 * bx + a1 * by + a2 * b, a1 * bx + a3 * by + a4 * b, a2 * bx + a4 * by + a5 * b])
    normals /= np.sqrt(np.einsum('chw,chw->hw', normals, normals))
    if not exact:
        normals[:, n < .5] = np.nan
    # Away from the camera: first along z, then along the ray of the pixel itself.
    flip = normals[2] < 0
    normals[:, flip] *= -1
    away = (normals[0] * rays[0] + normals[1] * rays[1] + normals[2]) * depth_cm
    normals[:, away < 0] *= -1
    return normals


def _gravity(normals):
    """The unit vector along gravity, (3, ), in camera coordinates (x right, y down, z forward), from normals (3, H, W)."""
    normals = normals.reshape(3, -1)
    normals = np.ascontiguousarray(normals[:, np.isfinite(normals[0])])
    down = np.array([0., 1., 0.])
    for degrees, iterations in GRAVITY_ROUNDS:
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        for _ in range(iterations):
            cosine = np.abs(down @ normals)
            # Walls should be perpendicular to gravity and floors parallel: smallest eigenvector of sum(W W^T) - sum(F F^T).
            sign = (cosine < sin).astype(np.float64) - (cosine > cos)
            scatter = (normals * sign) @ normals.T
            if not scatter.any():
                return down  # Nothing says otherwise.
            values, axes = np.linalg.eigh(scatter)
            # Where only walls of one direction are seen, rounding alone would choose among all directions within them.
            smallest = axes[:, values - values[0] <= 1e-9 * np.abs(values).max()]
            if smallest.shape[1] > 1:
                axis = smallest @ (smallest.T @ down)
                axis /= np.linalg.norm(axis) or 1
            else:
                axis = smallest[:, 0]
            aligned = axis * np.sign(axis @ down)
            if not aligned.any():
                return down
            if np.array_equal(aligned, down):
                break
            down = aligned
    return down


def depth_to_hha(depth, intrinsics, raw_depth=None):
    """Encode depth as HHA: disparity, height above the lowest point and angle of the surface with gravity.

    * disparity = 31000 / max(depth in cm, 100), so 310 at a metre and nearer, clipped to 255;
    * height in cm above the lowest point of the image; where nothing lies more than 90 cm below the camera, the camera is taken to be
      130 cm above ground;
    * angle = degrees between the surface normal and the estimated direction of gravity, plus 38.

    All three are rounded to the nearest integer (ties to even) and clipped to 0..255.

    Args:
        depth (ndarray): (H, W), float32 or float64, metres; 0 or NaN (also negative or infinite) where missing. Filled (inpainted)
            depth gives the images that published models were trained on.
        intrinsics: fx, fy, cx, cy of this image in pixels, or the 3x3 camera matrix.
        raw_depth (ndarray, optional): (H, W), the sensor's depth before filling, metres. Only where it is missing matters: those
            pixels keep the disparity and height of ``depth`` but do not take part in the fits of normals and gravity.

    Returns:
        ndarray: (H, W, 3) uint8, channels (disparity, height, angle) in this order. Where ``depth`` is missing all three are 0.
        Where it is there but no surface can be fitted (no valid pixel within 3 pixels, or too few to span a plane), the angle is 218
        (180 degrees), as in the published images. An image without any depth is all 0. Images of any size from 1x1 are taken.

    Raises:
        DataError: See :func:`check_depth` and :func:`check_camera`; also if the two depths differ in size.
    """
    depth = check_depth(depth)
    fx, fy, cx, cy = check_camera(intrinsics, depth.shape)
    present = depth > 0
    fitted = present
    if raw_depth is not None:
        raw_depth = np.asarray(raw_depth)
        if raw_depth.shape != depth.shape:
            raise DataError(f'raw_depth has shape {raw_depth.shape} and depth {depth.shape}: they must be of one image')
        # The unit of the raw depth does not matter, so it is not checked.
        with np.errstate(invalid='ignore'):
            fitted = present & np.isfinite(raw_depth) & (raw_depth > 0)
    hha = np.zeros((*depth.shape, 3), np.uint8)
    if not present.any():
        return hha

    z = depth * 100
    height, width = depth.shape
    rays = ((np.arange(width) + 1 - cx) / fx)[None], ((np.arange(height) + 1 - cy) / fy)[:, None]
    with np.errstate(divide='ignore', invalid='ignore'):
        moments = _plane_moments(z, fitted, fx, fy, cx, cy)
        down = _gravity(_normals(moments, z, rays, GRAVITY_RADIUS, exact=False))
        normals = _normals(moments, z, rays, NORMAL_RADIUS, exact=True)
        angle = np.rad2deg(np.arccos(np.clip(np.einsum('chw,c->hw', normals, down), -1, 1)))
    angle[np.isnan(angle)] = 180

    # A tilt of a tenth of a degree or less is not corrected.
    vertical = down if np.rad2deg(np.arccos(np.clip(down[1], -1, 1))) > .1 else np.array([0., 1., 0.])
    elevation = -(vertical[0] * rays[0] + vertical[1] * rays[1] + vertical[2]) * z
    lowest = elevation[present].min()
    if lowest > -90:
        lowest = -130

    for channel, values in enumerate((31000 / np.maximum(z, 100), elevation - lowest, angle + 38)):
        hha[..., channel] = np.clip(np.rint(values), 0, 255)
    hha[~present] = 0
    return hha
