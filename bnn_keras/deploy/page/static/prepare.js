// How an image becomes the input of the network, as the manifest beside the .tflite file says.

const KERNELS = {
  bilinear: (x) => Math.max(0, 1 - x),
  bicubic: (x) =>
    x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0,
};
const REACH = { bilinear: 1, bicubic: 2 };

/** The weights of the pixels along one side in each pixel that is cut out: its first pixel, and a list. */
function resizing(before, after, first, size, steps) {
  const scale = before / after;
  const width = steps.antialias ? Math.max(scale, 1) : 1;
  const reach = REACH[steps.interpolation] * width;
  return Array.from({ length: size }, (_, i) => {
    const centre = (first + i + 0.5) * scale - 0.5;
    const start = Math.max(0, Math.ceil(centre - reach));
    const end = Math.min(before - 1, Math.floor(centre + reach));
    const weights = [];
    for (let k = start; k <= end; k++) {
      weights.push(KERNELS[steps.interpolation](Math.abs(k - centre) / width));
    }
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * Resize and crop pixels.
 *
 * @param {ImageData} image upright, RGBA.
 * @param {object} steps `input.preprocessing` of the manifest.
 * @return {Float32Array} RGB in [0, 255], [size, size, 3].
 */
export function prepare(image, steps) {
  const { width, height, data } = image;
  const shorter = Math.min(width, height);
  const size = steps.crop_size;
  const across = Math.floor((width * steps.shorter_side) / shorter);
  const down = Math.floor((height * steps.shorter_side) / shorter);
  const columns = resizing(width, across, Math.floor((across - size) / 2), size, steps);
  const rows = resizing(height, down, Math.floor((down - size) / 2), size, steps);
  const first = rows[0].start;
  const last = rows[size - 1].start + rows[size - 1].weights.length;
  // Only the rows that are needed, each with its columns resized.
  const narrow = new Float32Array((last - first) * size * 3);
  for (let y = first; y < last; y++) {
    columns.forEach(({ start, weights }, x) => {
      const target = ((y - first) * size + x) * 3;
      weights.forEach((weight, k) => {
        const source = (y * width + start + k) * 4;
        for (let c = 0; c < 3; c++) narrow[target + c] += weight * data[source + c];
      });
    });
  }
  const prepared = new Float32Array(size * size * 3);
  rows.forEach(({ start, weights }, y) => {
    weights.forEach((weight, k) => {
      const source = (start + k - first) * size * 3;
      for (let i = 0; i < size * 3; i++) prepared[y * size * 3 + i] += weight * narrow[source + i];
    });
  });
  return prepared.map((value) => Math.min(255, Math.max(0, value)));
}

/** The RGB values of pixels that are the input already. */
export function withoutAlpha(image) {
  return Float32Array.from({ length: image.width * image.height * 3 }, (_, i) =>
    image.data[Math.floor(i / 3) * 4 + (i % 3)]);
}
