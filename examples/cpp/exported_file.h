// Reads labels, crop and calibration from a .tflite file that export.py made.
// Needs nlohmann-json.

#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "picture.h"
#include "preprocessing.h"

// What a network's probabilities mean, as fitted on the validation images.
struct Calibration {
  float least_probability_90;  // of a label in the set that is right for 90 %
  float refuse_below;          // the largest probability of what is of no class

  bool is_none_of_these(float largest) const { return largest < refuse_below; }
};

struct Contents {
  std::vector<std::string> labels;
  Geometry geometry;
  std::optional<Calibration> calibration;
};

// A text in the ZIP archive at the end of a file, which export.py does not compress.
inline std::string read_text(const Bytes& file, const std::string& name) {
  auto number = [&](std::size_t place, int bytes) {
    if (place + bytes > file.size()) throw std::runtime_error("its archive is damaged");
    std::size_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | file[place + i];
    return value;
  };
  auto text = [&](std::size_t place, std::size_t count) {
    number(place, 0), number(place + count, 0);  // within the file
    return std::string(file.begin() + place, file.begin() + place + count);
  };
  std::size_t end = file.size() < 22 ? 0 : file.size() - 22;
  while (end > 0 && number(end, 4) != 0x06054b50) --end;
  if (!end) throw std::runtime_error("export.py did not make it: it has no archive");
  const std::size_t directory_size = number(end + 12, 4);
  // as the archive was appended, its places count from its own or the file's begin
  std::size_t entry = end - directory_size;
  const std::size_t before = entry - number(end + 16, 4);
  for (; number(entry, 4) == 0x02014b50;
       entry +=
       46 + number(entry + 28, 2) + number(entry + 30, 2) + number(entry + 32, 2)) {
    if (text(entry + 46, number(entry + 28, 2)) != name) continue;
    if (number(entry + 10, 2) != 0) throw std::runtime_error(name + " is compressed");
    const std::size_t local = before + number(entry + 42, 4);
    const std::size_t start =
        local + 30 + number(local + 26, 2) + number(local + 28, 2);
    return text(start, number(entry + 24, 4));
  }
  throw std::runtime_error("export.py did not make it: it has no " + name);
}

inline Contents read_contents(const std::string& path) {
  const Bytes file = read_file(path);
  try {
    Contents contents;
    std::istringstream lines(read_text(file, "labels.txt"));
    for (std::string line; std::getline(lines, line);) contents.labels.push_back(line);
    const auto description = nlohmann::json::parse(read_text(file, "classifier.json"));
    const auto& crop = description.at("preprocessing");
    contents.geometry = {crop.at("height"), crop.at("width"), crop.at("crop_fraction"),
                         crop.value("margin_height", 0), crop.value("margin_width", 0)};
    const auto calibration = description.value("calibration", nlohmann::json());
    if (!calibration.is_null()) {
      const auto& refuse = calibration.at("refuse_below");
      contents.calibration = {calibration.at("least_probability_90"),
                              refuse.is_null() ? 0.0f : refuse.get<float>()};
    }
    return contents;
  } catch (const std::exception& error) {
    throw std::runtime_error(path + " cannot be used: " + error.what());
  }
}
