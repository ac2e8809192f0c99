#include "network.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "litert/c/litert_common.h"
#include "litert/c/litert_compiled_model.h"
#include "litert/c/litert_environment.h"
#include "litert/c/litert_model.h"
#include "litert/c/litert_options.h"
#include "litert/c/litert_tensor_buffer.h"

namespace {

void Check(LiteRtStatus status, const char* step) {
  if (status == kLiteRtStatusOk) return;
  throw std::runtime_error(std::string("LiteRT cannot ") + step + " (status " + std::to_string(status) + ")");
}

size_t ElementsOf(const LiteRtRankedTensorType& type) {
  size_t number = 1;
  for (unsigned i = 0; i < type.layout.rank; i++) number *= type.layout.dimensions[i];
  return number;
}

}  // namespace

// Everything that has to be destroyed, in the order in which it is made.
struct Network::Handles {
  LiteRtEnvironment environment = nullptr;
  LiteRtModel model = nullptr;
  LiteRtOptions options = nullptr;
  LiteRtCompiledModel compiled = nullptr;
  LiteRtTensorBuffer input = nullptr;
  LiteRtTensorBuffer output = nullptr;
  LiteRtRankedTensorType input_type = {};
  LiteRtRankedTensorType output_type = {};

  ~Handles() {
    if (output != nullptr) LiteRtDestroyTensorBuffer(output);
    if (input != nullptr) LiteRtDestroyTensorBuffer(input);
    if (compiled != nullptr) LiteRtDestroyCompiledModel(compiled);
    if (options != nullptr) LiteRtDestroyOptions(options);
    if (model != nullptr) LiteRtDestroyModel(model);
    if (environment != nullptr) LiteRtDestroyEnvironment(environment);
  }
};

Network::Network(const std::string& file) : handles_(std::make_unique<Handles>()) {
  Handles& h = *handles_;
  Check(LiteRtCreateEnvironment(0, nullptr, &h.environment), "start");
  Check(LiteRtCreateModelFromFile(h.environment, file.c_str(), &h.model), "read the .tflite file");
  Check(LiteRtCreateOptions(&h.options), "make options");
  Check(LiteRtSetOptionsHardwareAccelerators(h.options, kLiteRtHwAcceleratorCpu), "choose the CPU");
  Check(LiteRtCreateCompiledModel(h.environment, h.model, h.options, &h.compiled), "run the .tflite file");

  LiteRtSignature signature = nullptr;
  LiteRtTensor tensor = nullptr;
  LiteRtTensorBufferRequirements requirements = nullptr;
  Check(LiteRtGetModelSignature(h.model, 0, &signature), "find the signature");
  Check(LiteRtGetSignatureInputTensorByIndex(signature, 0, &tensor), "find the input");
  Check(LiteRtGetRankedTensorType(tensor, &h.input_type), "tell the type of the input");
  Check(LiteRtGetCompiledModelInputBufferRequirements(h.compiled, 0, 0, &requirements), "size the input");
  Check(LiteRtCreateManagedTensorBufferFromRequirements(h.environment, &h.input_type, requirements, &h.input),
        "make room for the input");
  Check(LiteRtGetSignatureOutputTensorByIndex(signature, 0, &tensor), "find the output");
  Check(LiteRtGetRankedTensorType(tensor, &h.output_type), "tell the type of the output");
  Check(LiteRtGetCompiledModelOutputBufferRequirements(h.compiled, 0, 0, &requirements), "size the output");
  Check(LiteRtCreateManagedTensorBufferFromRequirements(h.environment, &h.output_type, requirements, &h.output),
        "make room for the output");
}

Network::~Network() = default;

std::vector<float> Network::Run(const std::vector<float>& image) {
  Handles& h = *handles_;
  if (image.size() != ElementsOf(h.input_type)) {
    throw std::runtime_error("the image has " + std::to_string(image.size()) + " values; the network takes " +
                             std::to_string(ElementsOf(h.input_type)));
  }
  void* memory = nullptr;
  Check(LiteRtLockTensorBuffer(h.input, &memory, kLiteRtTensorBufferLockModeWrite), "open the input");
  if (h.input_type.element_type == kLiteRtElementTypeUInt8) {
    auto* bytes = static_cast<uint8_t*>(memory);
    for (size_t i = 0; i < image.size(); i++) bytes[i] = static_cast<uint8_t>(std::lround(image[i]));
  } else {
    std::memcpy(memory, image.data(), image.size() * sizeof(float));
  }
  Check(LiteRtUnlockTensorBuffer(h.input), "close the input");
  Check(LiteRtRunCompiledModel(h.compiled, 0, 1, &h.input, 1, &h.output), "run the network");
  std::vector<float> values(ElementsOf(h.output_type));
  Check(LiteRtLockTensorBuffer(h.output, &memory, kLiteRtTensorBufferLockModeRead), "open the output");
  std::memcpy(values.data(), memory, values.size() * sizeof(float));
  Check(LiteRtUnlockTensorBuffer(h.output), "close the output");
  return values;
}
