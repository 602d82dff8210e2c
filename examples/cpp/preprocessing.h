// The crop and the resize of evaluation: the center, antialiased.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "picture.h"

// What a file says of its input; see docs/phone.md.
struct Geometry {
  int height, width;  // of the input
  float crop_fraction;
  int margin_height,
      margin_width;  // rows and columns that the network does not look at

  int crop_height() const { return height - 2 * margin_height; }
  int crop_width() const { return width - 2 * margin_width; }

  // The pixels that the shorter side of a decoded JPEG must keep.
  float least_side() const {
    return 3.0 * std::max(crop_height(), crop_width()) / double(crop_fraction);
  }
};

// How a row of pixels is resized: each new one is a sum over some old ones.
struct Sum {
  int begin;
  std::vector<float> weights;
};

// A triangle as wide as the distance of the new pixels, at least of the old ones.
inline std::vector<Sum> triangle_filter(int before, int after) {
  const float scale = float(before) / after, radius = std::max(scale, 1.0f);
  std::vector<Sum> sums(after);
  for (int i = 0; i < after; ++i) {
    const float center = (i + 0.5f) * scale;
    const int begin = std::max(0, int(std::ceil(center - radius - 0.5f)));
    const int end = std::min(before - 1, int(std::floor(center + radius - 0.5f)));
    float total = 0;
    for (int j = begin; j <= end; ++j) {
      const float weight = std::max(0.0f, 1 - std::abs((j + 0.5f - center) / radius));
      sums[i].weights.push_back(weight);
      total += weight;
    }
    sums[i].begin = begin;
    for (float& weight : sums[i].weights) weight /= total;
  }
  return sums;
}

// The input of the network, [height, width, 3] in 0..255. What an input of bytes takes
// is rounded.
inline std::vector<float> preprocess(Picture& picture, const Geometry& geometry) {
  const int height = geometry.crop_height(), width = geometry.crop_width();
  const float scale = geometry.crop_fraction * std::min(float(picture.height) / height,
                                                        float(picture.width) / width);
  // halves are rounded to even, as Python and TensorFlow do
  const int rows = std::max(1, int(std::nearbyint(height * scale)));
  const int columns = std::max(1, int(std::nearbyint(width * scale)));
  const int top = (picture.height - rows) / 2, left = (picture.width - columns) / 2;

  std::vector<float> shorter(std::size_t(height) * columns * 3);
  const auto row_sums = triangle_filter(rows, height);
  for (int i = 0; i < height; ++i) {
    float* to = &shorter[std::size_t(i) * columns * 3];
    for (std::size_t k = 0; k < row_sums[i].weights.size(); ++k) {
      const auto* from = picture.at(top + row_sums[i].begin + int(k), left);
      for (int x = 0; x < 3 * columns; ++x) to[x] += row_sums[i].weights[k] * from[x];
    }
  }
  std::vector<float> input(std::size_t(geometry.height) * geometry.width * 3);
  const auto column_sums = triangle_filter(columns, width);
  for (int i = 0; i < height; ++i) {
    const float* from = &shorter[std::size_t(i) * columns * 3];
    float* to = &input[3 * (std::size_t(i + geometry.margin_height) * geometry.width +
                            geometry.margin_width)];
    for (int j = 0; j < width; ++j) {
      const auto& [begin, weights] = column_sums[j];
      for (std::size_t k = 0; k < weights.size(); ++k) {
        for (int c = 0; c < 3; ++c)
          to[3 * j + c] += weights[k] * from[3 * (begin + k) + c];
      }
    }
  }
  return input;
}
