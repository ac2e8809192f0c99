// How an image becomes the input of the network, as `input.preprocessing` of the manifest says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// An image file: RGB, row by row.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;
};

struct Steps {
  int shorter_side = 0;  // pixels that the shorter side is resized to
  int crop_size = 0;     // edge of the square that is cut out of the centre
  bool bicubic = false;  // otherwise bilinear
  bool antialias = false;
};

// Reads JPEG, PNG, BMP or GIF. It does not turn the image as its EXIF data say: a photograph that a phone
// stored on its side has to be turned before. Throws std::runtime_error.
Image ReadImage(const std::string& path);

// RGB in [0, 255], [crop_size, crop_size, 3].
std::vector<float> Prepare(const Image& image, const Steps& steps);
