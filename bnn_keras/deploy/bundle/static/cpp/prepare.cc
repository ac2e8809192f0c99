#include "prepare.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#define STB_IMAGE_IMPLEMENTATION
#include "stb_image.h"

namespace {

// The pixels of a side that make one pixel of the resized side: the first one, and the weight of each.
struct Window {
  int first = 0;
  std::vector<double> weights;
};

double Bilinear(double x) { return std::max(0.0, 1 - x); }

// Keys (1981), with a = -0.5.
double Bicubic(double x) {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// The windows of the pixels that are cut out, of a side of `before` pixels that is resized to `after`.
std::vector<Window> Windows(int before, int after, const Steps& steps) {
  const double scale = static_cast<double>(before) / after;
  const double width = steps.antialias ? std::max(scale, 1.0) : 1.0;
  const double reach = (steps.bicubic ? 2 : 1) * width;
  std::vector<Window> windows(steps.crop_size);
  for (int i = 0; i < steps.crop_size; i++) {
    const double centre = ((after - steps.crop_size) / 2 + i + 0.5) * scale - 0.5;
    Window& window = windows[i];
    window.first = std::max(0, static_cast<int>(std::ceil(centre - reach)));
    const int last = std::min(before - 1, static_cast<int>(std::floor(centre + reach)));
    double sum = 0;
    for (int k = window.first; k <= last; k++) {
      const double distance = std::abs(k - centre) / width;
      window.weights.push_back(steps.bicubic ? Bicubic(distance) : Bilinear(distance));
      sum += window.weights.back();
    }
    for (double& weight : window.weights) weight /= sum;
  }
  return windows;
}

}  // namespace

Image ReadImage(const std::string& path) {
  Image image;
  int channels = 0;
  uint8_t* pixels = stbi_load(path.c_str(), &image.width, &image.height, &channels, 3);
  if (pixels == nullptr) throw std::runtime_error(path + " cannot be read: " + stbi_failure_reason());
  image.pixels.assign(pixels, pixels + static_cast<size_t>(image.width) * image.height * 3);
  stbi_image_free(pixels);
  return image;
}

std::vector<float> Prepare(const Image& image, const Steps& steps) {
  const int64_t shorter = std::min(image.width, image.height);
  const int size = steps.crop_size;
  const auto columns = Windows(image.width, image.width * int64_t{steps.shorter_side} / shorter, steps);
  const auto rows = Windows(image.height, image.height * int64_t{steps.shorter_side} / shorter, steps);
  // First along the rows, and only those that are needed.
  const int first = rows.front().first;
  const int last = rows.back().first + static_cast<int>(rows.back().weights.size());
  std::vector<double> narrow(static_cast<size_t>(last - first) * size * 3);
  for (int y = first; y < last; y++) {
    for (int x = 0; x < size; x++) {
      const Window& window = columns[x];
      for (size_t k = 0; k < window.weights.size(); k++) {
        const size_t source = (static_cast<size_t>(y) * image.width + window.first + k) * 3;
        const size_t target = (static_cast<size_t>(y - first) * size + x) * 3;
        for (int c = 0; c < 3; c++) narrow[target + c] += window.weights[k] * image.pixels[source + c];
      }
    }
  }
  std::vector<float> prepared(static_cast<size_t>(size) * size * 3);
  for (int y = 0; y < size; y++) {
    for (int i = 0; i < size * 3; i++) {
      double value = 0;
      for (size_t k = 0; k < rows[y].weights.size(); k++) {
        value += rows[y].weights[k] * narrow[(rows[y].first - first + k) * size * 3 + i];
      }
      prepared[static_cast<size_t>(y) * size * 3 + i] = static_cast<float>(std::clamp(value, 0.0, 255.0));
    }
  }
  return prepared;
}
