// Reads JPEG and PNG files to upright RGB pixels, as the network was trained on them.
// What is transparent is black. Needs libjpeg(-turbo) and libpng.

#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <jpeglib.h>  // needs <cstdio>
#include <png.h>

using Bytes = std::vector<std::uint8_t>;

// An image of `height` rows of `width` pixels of red, green and blue.
struct Picture {
  int height, width;
  Bytes pixels;

  std::uint8_t* at(int row, int column) {
    return &pixels[3 * (std::size_t(row) * width + column)];
  }
};

inline Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("no such file: " + path);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// The orientation in an EXIF block, 1 to 8; 1 if it has none. EXIF 2.3, TIFF 6.0.
inline int orientation(Bytes block) {
  if (block.size() > 6 && !std::memcmp(block.data(), "Exif\0\0", 6)) {
    block.erase(block.begin(), block.begin() + 6);
  }
  const bool little = !block.empty() && block[0] == 'I';
  auto number = [&](std::size_t place, int bytes) {
    std::uint32_t value = 0;
    for (int i = 0; i < bytes && place + bytes <= block.size(); ++i) {
      value = value << 8 | block[place + (little ? bytes - 1 - i : i)];
    }
    return value;
  };
  const bool known = number(0, 2) == (little ? 0x4949 : 0x4D4D);
  if (!known || number(2, 2) != 42) return 1;
  const std::size_t directory = number(4, 4);
  for (std::size_t i = 0; i < number(directory, 2); ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (number(entry, 2) != 0x0112) continue;
    const auto value = number(entry + 8, number(entry + 2, 2) == 4 ? 4 : 2);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

// Turns and mirrors a picture as its EXIF orientation says.
inline Picture upright(Picture stored, int turn) {
  if (turn == 1) return stored;
  const bool transposed = turn >= 5;
  const bool rows_reversed = turn == 3 || turn == 4 || turn == 7 || turn == 8;
  const bool columns_reversed = turn == 2 || turn == 3 || turn == 6 || turn == 7;
  Picture turned{stored.height, stored.width, Bytes(stored.pixels.size())};
  if (transposed) std::swap(turned.height, turned.width);
  for (int row = 0; row < turned.height; ++row) {
    for (int column = 0; column < turned.width; ++column) {
      int from_row = rows_reversed ? turned.height - 1 - row : row;
      int from_column = columns_reversed ? turned.width - 1 - column : column;
      if (transposed) std::swap(from_row, from_column);
      std::copy_n(stored.at(from_row, from_column), 3, turned.at(row, column));
    }
  }
  return turned;
}

// libjpeg leaves a failed call by longjmp, so the two functions that it may leave hold
// nothing to be destroyed.
struct JpegReader {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  std::jmp_buf failed;
  char message[JMSG_LENGTH_MAX];

  explicit JpegReader(const Bytes& file) {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.output_message = [](j_common_ptr) {};  // warnings
    errors.error_exit = [](j_common_ptr common) {
      auto* reader = static_cast<JpegReader*>(common->client_data);
      common->err->format_message(common, reader->message);
      std::longjmp(reader->failed, 1);
    };
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file.data(), file.size());
  }
  ~JpegReader() { jpeg_destroy_decompress(&info); }

  bool read_header() {
    if (setjmp(failed)) return false;
    jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info, TRUE);
    const bool is_cmyk = info.num_components == 4;
    info.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    return true;
  }
  bool read_rows(std::uint8_t* rows) {
    if (setjmp(failed)) return false;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = rows + std::size_t(info.output_scanline) * info.output_width *
                                info.output_components;
      jpeg_read_scanlines(&info, &row, 1);
    }
    return true;
  }
};

// Decodes a JPEG at 1, 1/2, 1/4 or 1/8 of its size, as long as its shorter side keeps
// `at_least` pixels: libjpeg averages, so nothing is aliased.
inline Picture read_jpeg(const Bytes& file, float at_least) {
  JpegReader reader(file);
  auto& info = reader.info;
  if (!reader.read_header()) throw std::runtime_error(reader.message);
  const float shrink = std::min(info.image_height, info.image_width) / at_least;
  info.scale_num = 1;
  info.scale_denom = shrink >= 8 ? 8 : shrink >= 4 ? 4 : shrink >= 2 ? 2 : 1;
  int turn = 1;
  for (auto* marker = info.marker_list; marker; marker = marker->next) {
    Bytes block(marker->data, marker->data + marker->data_length);
    if (block.size() < 6 || std::memcmp(block.data(), "Exif\0\0", 6)) continue;
    turn = orientation(block);
    break;
  }
  jpeg_calc_output_dimensions(&info);
  const std::size_t count = std::size_t(info.output_height) * info.output_width;
  Bytes rows(count * info.output_components);
  if (!reader.read_rows(rows.data())) throw std::runtime_error(reader.message);
  Picture picture{int(info.output_height), int(info.output_width), {}};
  if (info.output_components == 3) {
    picture.pixels = std::move(rows);
  } else {  // CMYK, which Adobe's programs store inverted
    picture.pixels.resize(3 * count);
    for (std::size_t i = 0; i < 3 * count; ++i) {
      const int ink = rows[i / 3 * 4 + i % 3], black = rows[i / 3 * 4 + 3];
      picture.pixels[i] =
          info.saw_Adobe_marker ? black * ink / 255 : (255 - black) * (255 - ink) / 255;
    }
  }
  return upright(std::move(picture), turn);
}

// As JpegReader.
struct PngReader {
  const Bytes& file;
  std::size_t place = 0;
  png_structp png;
  png_infop info, end;
  char message[256] = "it is damaged";

  explicit PngReader(const Bytes& bytes) : file(bytes) {
    auto keep = [](png_structp png, png_const_charp text) {
      auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
      std::snprintf(reader->message, sizeof reader->message, "%s", text);
      png_longjmp(png, 1);
    };
    auto ignore = [](png_structp, png_const_charp) {};
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, keep, ignore);
    if (!png) throw std::runtime_error("libpng does not start");
    info = png_create_info_struct(png);
    end = png_create_info_struct(png);
    png_set_read_fn(png, this, [](png_structp png, png_bytep to, std::size_t count) {
      auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
      if (count > reader->file.size() - reader->place) png_error(png, "it is cut");
      std::memcpy(to, &reader->file[reader->place], count);
      reader->place += count;
    });
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, &end); }

  bool read_header() {
    if (setjmp(png_jmpbuf(png))) return false;
    png_read_info(png, info);
    png_set_expand(png);  // a palette, less than 8 bits and a transparent color
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }
  bool read_rows(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_read_image(png, rows);
    png_read_end(png, end);
    return true;
  }
  // The EXIF block, which may also stand after the pixels.
  Bytes exif() {
    png_uint_32 size = 0;
    png_bytep block = nullptr;
    if (!png_get_eXIf_1(png, info, &size, &block)) {
      png_get_eXIf_1(png, end, &size, &block);
    }
    return Bytes(block, block + size);
  }
};

inline Picture read_png(const Bytes& file) {
  PngReader reader(file);
  if (!reader.read_header()) throw std::runtime_error(reader.message);
  Picture picture{int(png_get_image_height(reader.png, reader.info)),
                  int(png_get_image_width(reader.png, reader.info)),
                  {}};
  const std::size_t count = std::size_t(picture.height) * picture.width;
  Bytes colors(4 * count);
  std::vector<png_bytep> rows;
  for (int i = 0; i < picture.height; ++i) {
    rows.push_back(&colors[4 * std::size_t(i) * picture.width]);
  }
  if (!reader.read_rows(rows.data())) throw std::runtime_error(reader.message);
  picture.pixels.resize(3 * count);
  for (std::size_t i = 0; i < 3 * count; ++i) {  // on black
    picture.pixels[i] = (colors[i / 3 * 4 + i % 3] * colors[i / 3 * 4 + 3] + 127) / 255;
  }
  return upright(std::move(picture), orientation(reader.exif()));
}

// Reads a JPEG or PNG file; at_least: as for read_jpeg.
inline Picture read_picture(const std::string& path, float at_least) {
  const Bytes file = read_file(path);
  auto starts_with = [&](const char* letters, std::size_t count) {
    return file.size() >= count && !std::memcmp(file.data(), letters, count);
  };
  try {
    if (starts_with("\xff\xd8\xff", 3)) return read_jpeg(file, at_least);
    if (starts_with("\x89PNG", 4)) return read_png(file);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + " cannot be read: " + error.what());
  }
  throw std::runtime_error(path + " is neither a JPEG nor a PNG");
}
