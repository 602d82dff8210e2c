// Writes what the C++ example gives the network: pixels MODEL OUTPUT PHOTO...
// OUTPUT: the inputs [photos, height, width, 3] as float32.

#include <fstream>

#include "exported_file.h"
#include "picture.h"
#include "preprocessing.h"

int main(int argc, char** argv) {
  const Contents contents = read_contents(argv[1]);
  std::ofstream output(argv[2], std::ios::binary);
  for (int i = 3; i < argc; ++i) {
    Picture picture = read_picture(argv[i], contents.geometry.least_side());
    const auto input = preprocess(picture, contents.geometry);
    output.write(reinterpret_cast<const char*>(input.data()),
                 std::streamsize(input.size() * sizeof(float)));
  }
}
