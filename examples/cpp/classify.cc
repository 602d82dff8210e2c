// C++, TensorFlow Lite 2.21 (LiteRT's interpreter): prints the likeliest class of raw pixels.
//   classify int8.tflite pixels.rgb      height x width x 3 bytes, as the file's input wants

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <vector>

#include "tensorflow/lite/interpreter.h"
#include "tensorflow/lite/kernels/register.h"
#include "tensorflow/lite/model_builder.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: classify MODEL PIXELS\n", 2;
  auto model = tflite::FlatBufferModel::BuildFromFile(argv[1]);
  if (!model) return std::cerr << "no model: " << argv[1] << "\n", 2;
  tflite::ops::builtin::BuiltinOpResolver resolver;
  std::unique_ptr<tflite::Interpreter> interpreter;
  tflite::InterpreterBuilder(*model, resolver)(&interpreter);
  if (!interpreter || interpreter->AllocateTensors() != kTfLiteOk) return 1;

  std::ifstream file(argv[2], std::ios::binary);
  std::vector<uint8_t> pixels(std::istreambuf_iterator<char>(file), {});
  if (pixels.size() != interpreter->input_tensor(0)->bytes) {
    return std::cerr << "expected " << interpreter->input_tensor(0)->bytes << " bytes\n", 2;
  }
  std::copy(pixels.begin(), pixels.end(), interpreter->typed_input_tensor<uint8_t>(0));
  if (interpreter->Invoke() != kTfLiteOk) return 1;

  const uint8_t* scores = interpreter->typed_output_tensor<uint8_t>(0);
  const int classes = interpreter->output_tensor(0)->dims->data[1];
  const uint8_t* best = std::max_element(scores, scores + classes);
  std::cout << "class " << best - scores << ": " << *best / 256.0 << "\n";
}
