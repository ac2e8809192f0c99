// Classifies images with the portable file of this bundle, or checks that it computes here what it should.
//
//   classify model/NAME_portable.tflite photo.jpg another.png
//   classify model/NAME_portable.tflite --check
//
// The manifest, labels.txt and the samples are read from the folder of the .tflite file. The exit status is 0
// if all went well and 1 otherwise.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "network.h"
#include "nlohmann/json.hpp"
#include "prepare.h"

namespace {

using Json = nlohmann::json;
constexpr size_t kTop = 5;  // classes that are shown

struct Bundle {
  std::string folder;  // of the .tflite file
  std::string name;    // of the file, without .tflite
  Json manifest;
  std::vector<std::string> labels;
};

std::ifstream Open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return file;
}

Bundle ReadBundle(const std::string& path) {
  Bundle bundle;
  const size_t slash = path.rfind('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  bundle.folder = slash == std::string::npos ? "." : path.substr(0, slash);
  bundle.name = file.substr(0, file.rfind(".tflite"));
  bundle.manifest = Json::parse(Open(bundle.folder + "/" + bundle.name + ".json"));
  std::ifstream labels = Open(bundle.folder + "/labels.txt");
  for (std::string line; std::getline(labels, line);) bundle.labels.push_back(line);
  if (bundle.manifest.at("rewrites").at("runtime") != "builtin") {
    throw std::runtime_error(path + " needs the Larq Compute Engine; LiteRT runs the portable file");
  }
  // LiteRT may crash on a file that was cut off.
  if (Open(path).seekg(0, std::ios::end).tellg() != bundle.manifest.at("bytes").get<int64_t>()) {
    throw std::runtime_error(path + " is damaged: its size is not the one in its manifest");
  }
  return bundle;
}

// The values as the file takes them: upright, or turned by 180 degrees.
std::vector<float> Oriented(std::vector<float> image, const Json& manifest) {
  if (manifest.at("input").at("orientation") == "upside_down") {
    std::reverse(image.begin(), image.end());  // of pixels and of their channels
    for (size_t i = 0; i < image.size(); i += 3) std::swap(image[i], image[i + 2]);
  }
  return image;
}

Steps StepsOf(const Json& manifest) {
  const Json& said = manifest.at("input").at("preprocessing");
  return {said.at("shorter_side"), said.at("crop_size"), said.at("interpolation") == "bicubic",
          said.at("antialias")};
}

size_t Best(const std::vector<float>& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

std::vector<float> Probabilities(std::vector<float> values, const Json& manifest) {
  if (manifest.at("output").at("values") != "logits") return values;
  const float largest = values[Best(values)];
  for (float& value : values) value = std::exp(value - largest);
  const float sum = std::accumulate(values.begin(), values.end(), 0.0f);
  for (float& value : values) value /= sum;
  return values;
}

void Classify(Network& network, const Bundle& bundle, const std::string& path) {
  const std::vector<float> image =
      Oriented(Prepare(ReadImage(path), StepsOf(bundle.manifest)), bundle.manifest);
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<float> output = network.Run(image);
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
  const std::vector<float> shares = Probabilities(output, bundle.manifest);
  std::vector<size_t> order(shares.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return shares[a] > shares[b]; });
  std::printf("%s:", path.c_str());
  for (size_t i = 0; i < std::min(kTop, order.size()); i++) {
    std::printf("%s %s %.1f%%", i ? "," : "", bundle.labels.at(order[i]).c_str(), 100 * shares[order[i]]);
  }
  std::printf(" (%.1f ms)\n", taken.count());
}

// Compares the outputs of the samples with the expected ones.
bool Check(Network& network, const Bundle& bundle) {
  const Json expected = Json::parse(Open(bundle.folder + "/samples/" + bundle.name + ".json"));
  const double tolerance = expected.at("tolerance");
  const Json& samples = expected.at("samples");
  size_t passed = 0;
  for (size_t i = 0; i < samples.size(); i++) {
    const std::string sample = samples[i];
    const Image image = ReadImage(bundle.folder + "/samples/" + sample);
    // The pixels of a sample are the input.
    const std::vector<float> pixels(image.pixels.begin(), image.pixels.end());
    const std::vector<float> output = network.Run(Oriented(pixels, bundle.manifest));
    const std::vector<float> wanted = expected.at("outputs").at(i);
    if (output.size() != wanted.size()) throw std::runtime_error("the number of classes differs");
    double difference = 0;
    bool good = true;
    for (size_t k = 0; k < output.size(); k++) {
      difference = std::max(difference, std::abs(static_cast<double>(output[k]) - wanted[k]));
      good = good && std::abs(static_cast<double>(output[k]) - wanted[k]) <= tolerance;  // not so for NaN
    }
    passed += good;
    std::printf("%s: %s, expected %s; largest difference %.2g of %.2g allowed: %s\n", sample.c_str(),
                bundle.labels.at(Best(output)).c_str(), bundle.labels.at(Best(wanted)).c_str(), difference,
                tolerance, good ? "ok" : "WRONG");
  }
  std::printf("%zu of %zu samples give what they should\n", passed, samples.size());
  return passed == samples.size();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: classify NAME_portable.tflite [--check] [IMAGE...]\n");
    return 1;
  }
  bool good = true;
  try {
    const Bundle bundle = ReadBundle(argv[1]);
    Network network(argv[1]);
    for (int i = 2; i < argc; i++) {
      if (std::string(argv[i]) == "--check") {
        good = Check(network, bundle) && good;
      } else {
        Classify(network, bundle, argv[i]);
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return good ? 0 : 1;
}
