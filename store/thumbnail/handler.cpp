// A JPEG in, a smaller JPEG out.
//   curl --data-binary @photo.jpg '.../function/thumbnail?width=320' > small.jpg
#include <fathom.h>

#include <algorithm>

#include "image.h"

namespace {

constexpr std::size_t kWidth = 320;
constexpr std::size_t kWidthMax = 4096;
constexpr int kQuality = 85;

fathom::Response thumbnail(fathom::Request request) {
    const auto asked = request.query("width").value_or(std::to_string(kWidth));
    std::size_t width = fathom::whole_number(asked).value_or(0);
    if (width < 1 || width > kWidthMax)
        return {"width=" + asked + " must be a number from 1 to 4096\n", 400};
    try {
        const Image image = read_jpeg(request.body(), width);
        width = std::min(width, image.width);
        const auto height = std::max<std::size_t>(1, image.height * width / image.width);
        return fathom::Response(write_jpeg(shrink(image, width, height), kQuality))
            .header("Content-Type", "image/jpeg")
            .header("X-Image-Size", std::to_string(width) + "x" + std::to_string(height));
    } catch (const ImageError& error) {
        return {std::string("the body is no JPEG that can be read: ") + error.what() + "\n", 422};
    }
}

}  // namespace

int main() {
    return fathom::serve(thumbnail);
}
