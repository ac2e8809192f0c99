// A .tflite file in LiteRT, through its C interface.
#pragma once

#include <memory>
#include <string>
#include <vector>

class Network {
 public:
  // Throws std::runtime_error if LiteRT cannot run the file.
  explicit Network(const std::string& file);
  ~Network();

  // From RGB in [0, 255], [size, size, 3], to one value for each class. A file that takes bytes gets the
  // values rounded.
  std::vector<float> Run(const std::vector<float>& image);

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};
