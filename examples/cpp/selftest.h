// The self-test of a bundle, as examples/selftest.py has it: are the crop, the order of
// the channels, the scaling and the labels right? Needs nlohmann-json.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using Json = nlohmann::ordered_json;
using Classify = std::function<std::vector<float>(const std::string& photo)>;

// Where the labels differ; empty if they do not.
inline std::string wrong_labels(const std::vector<std::string>& labels,
                                const std::vector<std::string>& expected) {
  for (std::size_t i = 0; i < std::min(labels.size(), expected.size()); ++i) {
    if (labels[i] != expected[i]) {
      return "labels: line " + std::to_string(i + 1) + " is " + labels[i] +
             ", must be " + expected[i];
    }
  }
  if (labels.size() == expected.size()) return "";
  return "labels: there are " + std::to_string(labels.size()) + ", must be " +
         std::to_string(expected.size());
}

// The distance of answers from those under a name: the mean over the images of the
// largest difference of a probability.
inline double distance(const Json& answers,
                       const std::vector<std::vector<float>>& found,
                       const std::string& name) {
  double sum = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& classes = answers[i].at("classes");
    const auto& expected = answers[i].at("probabilities").at(name);
    double largest = 0;
    for (std::size_t k = 0; k < classes.size(); ++k) {
      const double apart = found[i].at(classes[k]) - expected[k].get<double>();
      if (!(std::abs(apart) <= largest)) largest = std::abs(apart);  // NaN, too
    }
    sum += largest;
  }
  return sum / double(found.size());
}

// The mistake whose answers are near those found; empty if these are right.
inline std::string wrong_answers(const Json& test,
                                 const std::vector<std::vector<float>>& found,
                                 const Json& mistakes) {
  const auto& answers = test.at("answers");
  const double tolerance = test.at("tolerance"),
               right = distance(answers, found, "right");
  if (right <= tolerance) return "";
  char differ[80];
  std::snprintf(differ, sizeof differ, "the answers differ by %.3f, allowed %.3f",
                right, tolerance);
  std::pair<double, std::string> nearest(right / 2, "");
  for (const auto& item : answers[0].at("probabilities").items()) {
    if (item.key() == "right") continue;
    const double apart = distance(answers, found, item.key());
    if (apart <= nearest.first) nearest = {apart, item.key()};
  }
  if (nearest.second.empty()) {
    return std::string("unknown: ") + differ +
           "; they are not those of a known mistake";
  }
  return nearest.second + ": " + mistakes.at(nearest.second).get<std::string>() + " (" +
         differ + ")";
}

// Prints that all is right, or throws what is wrong. folder: `selftest` of an export;
// file: the name that the classified file has there.
inline void self_test(const std::string& folder, const std::string& file,
                      const std::vector<std::string>& labels,
                      const Classify& classify) {
  std::ifstream stream(folder + "/selftest.json");
  if (!stream) throw std::runtime_error("no self-test of an export: " + folder);
  const Json content = Json::parse(stream);
  if (!content.at("files").contains(file)) {
    throw std::runtime_error(folder + " does not know " + file);
  }
  const auto& test = content.at("files").at(file);
  std::string wrong = wrong_labels(labels, content.at("labels"));
  if (wrong.empty()) {
    std::vector<std::vector<float>> found;
    for (const auto& answer : test.at("answers")) {
      found.push_back(classify(folder + "/" + answer.at("image").get<std::string>()));
    }
    wrong = wrong_answers(test, found, content.at("mistakes"));
  }
  if (!wrong.empty()) throw std::runtime_error(wrong);
  std::string shown = "labels";
  for (const auto& item : test.at("answers")[0].at("probabilities").items()) {
    if (item.key() != "right") shown += ", " + item.key();
  }
  std::printf("passed (%s)\n", shown.c_str());
}
