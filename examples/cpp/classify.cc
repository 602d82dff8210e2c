// Classifies a photograph, JPEG or PNG, with a .tflite file that export.py made:
//
//   classify int8.tflite photo.jpg
//   classify int8.tflite --selftest [FOLDER]
//
// prints the five likeliest labels, and the answer if the network is calibrated. The
// self-test's folder is the one beside the file, unless it is named.
//
//   apt-get install g++ libjpeg-dev libpng-dev nlohmann-json3-dev
//   pip install ai-edge-litert
//   l=$(python -c 'import ai_edge_litert; print(ai_edge_litert.__path__[0])')
//   g++ -std=c++17 -O2 classify.cc -o classify -ljpeg -lpng -L$l -lLiteRt -Wl,-rpath,$l

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "exported_file.h"
#include "litert.h"
#include "picture.h"
#include "preprocessing.h"
#include "selftest.h"

// The labels of which one is right for 90 % of photographs, or none of these.
std::string answer(const Contents& contents, const std::vector<float>& scores,
                   const std::vector<int>& ranking) {
  if (contents.calibration->is_none_of_these(scores[ranking[0]]))
    return "none of these";
  const float least = contents.calibration->least_probability_90;
  const auto likely = std::count_if(scores.begin(), scores.end(),
                                    [&](float score) { return score >= least; });
  const int size = std::max(1, int(likely));
  std::string text = "90 %: " + contents.labels[ranking[0]];
  for (int i = 1; i < std::min(size, 5); ++i)
    text += " or " + contents.labels[ranking[i]];
  if (size > 5) text += " or " + std::to_string(size - 5) + " more";
  return text;
}

void print_answer(const Contents& contents, const std::vector<float>& scores) {
  std::vector<int> ranking(scores.size());
  std::iota(ranking.begin(), ranking.end(), 0);
  std::stable_sort(ranking.begin(), ranking.end(),
                   [&](int a, int b) { return scores[a] > scores[b]; });
  for (std::size_t i = 0; i < std::min<std::size_t>(5, ranking.size()); ++i) {
    std::printf("%5.1f%%  %s\n", 100 * scores[ranking[i]],
                contents.labels[ranking[i]].c_str());
  }
  if (contents.calibration) {
    std::printf("%s\n", answer(contents, scores, ranking).c_str());
  }
}

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool tests = words.size() >= 2 && words[1] == "--selftest";
  if (words.size() != 2 && !(tests && words.size() == 3)) {
    std::fprintf(stderr, "usage: classify MODEL PHOTO, or MODEL --selftest [FOLDER]\n");
    return 2;
  }
  try {
    const std::filesystem::path path = words[0];
    const Contents contents = read_contents(words[0]);
    Network network(words[0]);
    auto classify = [&](const std::string& photo) {
      Picture picture = read_picture(photo, contents.geometry.least_side());
      return network(preprocess(picture, contents.geometry));
    };
    if (tests) {
      const auto beside = (path.parent_path() / "selftest").string();
      self_test(words.size() == 3 ? words[2] : beside, path.filename().string(),
                contents.labels, classify);
    } else {
      const auto scores = classify(words[1]);
      if (scores.size() != contents.labels.size()) {
        throw std::runtime_error("it has " + std::to_string(contents.labels.size()) +
                                 " labels for " + std::to_string(scores.size()) +
                                 " scores");
      }
      print_answer(contents, scores);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
