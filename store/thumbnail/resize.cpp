#include <algorithm>

#include "image.h"

namespace {

// The source pixels that one target pixel covers along an axis, and how much of each.
struct Span {
    std::size_t first = 0;
    std::vector<float> shares;  // they sum up to 1
};

std::vector<Span> spans(std::size_t source, std::size_t target) {
    std::vector<Span> all(target);
    const double scale = static_cast<double>(source) / static_cast<double>(target);
    for (std::size_t i = 0; i < target; ++i) {
        const double begin = static_cast<double>(i) * scale;
        const double end = std::min(begin + scale, static_cast<double>(source));
        all[i].first = static_cast<std::size_t>(begin);
        for (auto at = all[i].first; static_cast<double>(at) < end; ++at) {
            const double covered = std::min(end, static_cast<double>(at + 1)) -
                                   std::max(begin, static_cast<double>(at));
            all[i].shares.push_back(static_cast<float>(covered / (end - begin)));
        }
    }
    return all;
}

}  // namespace

Image shrink(const Image& image, std::size_t width, std::size_t height) {
    const auto columns = spans(image.width, width);
    const auto rows = spans(image.height, height);
    Image out{width, height, std::vector<std::uint8_t>(width * height * 3)};
    std::vector<float> line(image.width * 3);  // the rows of one target row, averaged
    for (std::size_t y = 0; y < height; ++y) {
        std::fill(line.begin(), line.end(), 0.0F);
        for (std::size_t k = 0; k < rows[y].shares.size(); ++k) {
            const auto* source = image.rgb.data() + (rows[y].first + k) * image.width * 3;
            for (std::size_t x = 0; x < line.size(); ++x)
                line[x] += rows[y].shares[k] * static_cast<float>(source[x]);
        }
        auto* target = out.rgb.data() + y * width * 3;
        for (const Span& column : columns) {
            float sum[3] = {0.5F, 0.5F, 0.5F};  // rounds
            for (std::size_t k = 0; k < column.shares.size(); ++k)
                for (std::size_t c = 0; c < 3; ++c)
                    sum[c] += column.shares[k] * line[(column.first + k) * 3 + c];
            for (const float value : sum)
                *target++ = static_cast<std::uint8_t>(std::min(value, 255.0F));
        }
    }
    return out;
}
