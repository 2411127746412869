// A picture in memory, and what the thumbnail function does with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

struct Image {
    std::size_t width = 0;
    std::size_t height = 0;
    std::vector<std::uint8_t> rgb;  // three bytes a pixel, row by row
};

// The bytes are no JPEG, or one that is too large.
class ImageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

inline constexpr std::size_t kPixelsMax = 50'000'000;  // of the picture as sent

// At least `width` wide where the picture is: libjpeg skips detail that would be averaged away.
Image read_jpeg(std::string_view bytes, std::size_t width);
// `quality` from 1 to 100.
std::string write_jpeg(const Image& image, int quality);
// Every pixel is the average of the area it covers; so it only makes pictures smaller.
Image shrink(const Image& image, std::size_t width, std::size_t height);
