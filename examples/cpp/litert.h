// Runs a .tflite file with one image and one answer in LiteRT, on the CPU.
//
// The wheel of ai-edge-litert has LiteRT's library but not its headers; these are the
// declarations of its C API that are used here, of LiteRT 2.3.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" {
using LiteRtStatus = int;  // 0: all is well
using LiteRtEnvironment = struct LiteRtEnvironmentT*;
using LiteRtModel = struct LiteRtModelT*;
using LiteRtOptions = struct LiteRtOptionsT*;
using LiteRtCompiledModel = struct LiteRtCompiledModelT*;
using LiteRtSignature = struct LiteRtSignatureT*;
using LiteRtTensor = struct LiteRtTensorT*;
using LiteRtTensorBuffer = struct LiteRtTensorBufferT*;
using LiteRtTensorBufferRequirements = struct LiteRtTensorBufferRequirementsT*;
struct LiteRtRankedTensorType {
  int element_type;
  unsigned rank : 7;
  bool has_strides : 1;
  std::int32_t dimensions[8];
  std::uint32_t strides[8];
};
struct LiteRtAny {
  int type;
  std::int64_t int_value;
};
struct LiteRtEnvOption {
  int tag;
  LiteRtAny value;
};
enum {
  kLiteRtEnvOptionTagAutoRegisterAccelerators = 24,
  kLiteRtEnvOptionTagMinLoggerSeverity = 25
};
enum { kLiteRtAnyTypeInt = 2, kLiteRtLogSeverityError = 3 };
enum { kLiteRtElementTypeFloat32 = 1, kLiteRtElementTypeUInt8 = 3 };
enum { kLiteRtHwAcceleratorCpu = 1 };
enum { kLiteRtTensorBufferLockModeRead = 0, kLiteRtTensorBufferLockModeWrite = 1 };

LiteRtStatus LiteRtCreateEnvironment(int count, const LiteRtEnvOption*,
                                     LiteRtEnvironment*);
LiteRtStatus LiteRtCreateModelFromFile(LiteRtEnvironment, const char* path,
                                       LiteRtModel*);
LiteRtStatus LiteRtCreateOptions(LiteRtOptions*);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions, int accelerators);
LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment, LiteRtModel, LiteRtOptions,
                                       LiteRtCompiledModel*);
LiteRtStatus LiteRtGetModelSignature(LiteRtModel, std::size_t index, LiteRtSignature*);
LiteRtStatus LiteRtGetSignatureInputTensorByIndex(LiteRtSignature, std::size_t index,
                                                  LiteRtTensor*);
LiteRtStatus LiteRtGetSignatureOutputTensorByIndex(LiteRtSignature, std::size_t index,
                                                   LiteRtTensor*);
LiteRtStatus LiteRtGetRankedTensorType(LiteRtTensor, LiteRtRankedTensorType*);
LiteRtStatus LiteRtGetCompiledModelInputBufferRequirements(
    LiteRtCompiledModel, std::size_t signature, std::size_t index,
    LiteRtTensorBufferRequirements*);
LiteRtStatus LiteRtGetCompiledModelOutputBufferRequirements(
    LiteRtCompiledModel, std::size_t signature, std::size_t index,
    LiteRtTensorBufferRequirements*);
LiteRtStatus LiteRtCreateManagedTensorBufferFromRequirements(
    LiteRtEnvironment, const LiteRtRankedTensorType*, LiteRtTensorBufferRequirements,
    LiteRtTensorBuffer*);
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer, void** address, int mode);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer);
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel, std::size_t signature,
                                    std::size_t input_count, LiteRtTensorBuffer* inputs,
                                    std::size_t output_count,
                                    LiteRtTensorBuffer* outputs);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel);
void LiteRtDestroyOptions(LiteRtOptions);
void LiteRtDestroyModel(LiteRtModel);
void LiteRtDestroyEnvironment(LiteRtEnvironment);
}

class Network {
 public:
  explicit Network(const std::string& path) {
    const LiteRtEnvOption wanted[] = {{kLiteRtEnvOptionTagAutoRegisterAccelerators,
                                       {kLiteRtAnyTypeInt, kLiteRtHwAcceleratorCpu}},
                                      {kLiteRtEnvOptionTagMinLoggerSeverity,
                                       {kLiteRtAnyTypeInt, kLiteRtLogSeverityError}}};
    check(LiteRtCreateEnvironment(2, wanted, &environment_), "start");
    check(LiteRtCreateModelFromFile(environment_, path.c_str(), &model_),
          "read " + path);
    check(LiteRtCreateOptions(&options_), "start");
    check(LiteRtSetOptionsHardwareAccelerators(options_, kLiteRtHwAcceleratorCpu),
          "start");
    check(LiteRtCreateCompiledModel(environment_, model_, options_, &compiled_),
          "run " + path);
    LiteRtSignature signature;
    LiteRtTensor image, answer;
    check(LiteRtGetModelSignature(model_, 0, &signature), "find the signature");
    check(LiteRtGetSignatureInputTensorByIndex(signature, 0, &image), "find the input");
    check(LiteRtGetSignatureOutputTensorByIndex(signature, 0, &answer),
          "find the output");
    input_ = buffer(image, LiteRtGetCompiledModelInputBufferRequirements, input_type_);
    output_ =
        buffer(answer, LiteRtGetCompiledModelOutputBufferRequirements, output_type_);
  }
  ~Network() {
    LiteRtDestroyTensorBuffer(output_);
    LiteRtDestroyTensorBuffer(input_);
    LiteRtDestroyCompiledModel(compiled_);
    LiteRtDestroyOptions(options_);
    LiteRtDestroyModel(model_);
    LiteRtDestroyEnvironment(environment_);
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // The probabilities of an image [height, width, 3] in 0..255.
  std::vector<float> operator()(const std::vector<float>& pixels) {
    if (pixels.size() != size(input_type_)) {
      throw std::runtime_error("the input has " + std::to_string(size(input_type_)) +
                               " numbers; received " + std::to_string(pixels.size()));
    }
    void* address;
    check(LiteRtLockTensorBuffer(input_, &address, kLiteRtTensorBufferLockModeWrite),
          "write");
    if (is_bytes(input_type_)) {
      auto* bytes = static_cast<std::uint8_t*>(address);
      for (float value : pixels) *bytes++ = std::uint8_t(std::nearbyint(value));
    } else {
      std::memcpy(address, pixels.data(), pixels.size() * sizeof(float));
    }
    check(LiteRtUnlockTensorBuffer(input_), "write");
    check(LiteRtRunCompiledModel(compiled_, 0, 1, &input_, 1, &output_),
          "run the network");
    check(LiteRtLockTensorBuffer(output_, &address, kLiteRtTensorBufferLockModeRead),
          "read");
    std::vector<float> scores(size(output_type_));
    if (is_bytes(output_type_)) {
      const auto* bytes = static_cast<const std::uint8_t*>(address);
      for (float& score : scores) score = *bytes++ / 256.0f;
    } else {
      std::memcpy(scores.data(), address, scores.size() * sizeof(float));
    }
    check(LiteRtUnlockTensorBuffer(output_), "read");
    return scores;
  }

 private:
  static void check(LiteRtStatus status, const std::string& what) {
    if (status == 0) return;
    throw std::runtime_error("LiteRT cannot " + what + " (status " +
                             std::to_string(status) + ")");
  }
  static std::size_t size(const LiteRtRankedTensorType& type) {
    std::size_t product = 1;
    for (unsigned i = 0; i < type.rank; ++i) product *= std::size_t(type.dimensions[i]);
    return product;
  }
  static bool is_bytes(const LiteRtRankedTensorType& type) {
    return type.element_type == kLiteRtElementTypeUInt8;
  }
  template <typename Requirements>
  LiteRtTensorBuffer buffer(LiteRtTensor tensor, Requirements find,
                            LiteRtRankedTensorType& type) {
    check(LiteRtGetRankedTensorType(tensor, &type), "find the type of a tensor");
    if (!is_bytes(type) && type.element_type != kLiteRtElementTypeFloat32) {
      throw std::runtime_error("a tensor is neither of bytes nor of float32");
    }
    LiteRtTensorBufferRequirements needs;
    LiteRtTensorBuffer made;
    check(find(compiled_, 0, 0, &needs), "find the size of a tensor");
    check(LiteRtCreateManagedTensorBufferFromRequirements(environment_, &type, needs,
                                                          &made),
          "make a tensor");
    return made;
  }

  LiteRtEnvironment environment_ = nullptr;
  LiteRtModel model_ = nullptr;
  LiteRtOptions options_ = nullptr;
  LiteRtCompiledModel compiled_ = nullptr;
  LiteRtTensorBuffer input_ = nullptr, output_ = nullptr;
  LiteRtRankedTensorType input_type_{}, output_type_{};
};
