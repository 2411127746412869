// clang-format off
#include <cstdio>     // before jpeglib.h, which uses size_t and FILE without naming them
#include <jpeglib.h>
// clang-format on

#include <cstdlib>

#include "image.h"

namespace {

// libjpeg reports errors by a call that must not return. An exception may cross its C frames: the
// ABIs of amd64 and arm64 give them unwind tables.
void throw_error(j_common_ptr info) {
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    throw ImageError(text);
}

void keep_quiet(j_common_ptr, int) {}

jpeg_error_mgr* prepare(jpeg_error_mgr& errors) {
    jpeg_std_error(&errors);
    errors.error_exit = throw_error;
    errors.emit_message = keep_quiet;
    return &errors;
}

struct Decoder : jpeg_decompress_struct {
    jpeg_error_mgr errors;
    Decoder() : jpeg_decompress_struct(), errors() {
        err = prepare(errors);
        jpeg_create_decompress(this);
    }
    ~Decoder() { jpeg_destroy_decompress(this); }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;
};

struct Encoder : jpeg_compress_struct {
    jpeg_error_mgr errors;
    unsigned char* out = nullptr;
    unsigned long out_bytes = 0;
    Encoder() : jpeg_compress_struct(), errors() {
        err = prepare(errors);
        jpeg_create_compress(this);
        jpeg_mem_dest(this, &out, &out_bytes);
    }
    ~Encoder() {
        jpeg_destroy_compress(this);
        std::free(out);
    }
    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;
};

}  // namespace

Image read_jpeg(std::string_view bytes, std::size_t width) {
    Decoder decoder;
    jpeg_mem_src(&decoder, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&decoder, TRUE);
    if (std::size_t{decoder.image_width} * decoder.image_height > kPixelsMax)
        throw ImageError("the picture has more than 50 million pixels");
    decoder.out_color_space = JCS_RGB;
    for (unsigned denominator = 8; denominator >= 1; denominator /= 2) {
        decoder.scale_num = 1;
        decoder.scale_denom = denominator;
        if (decoder.image_width / denominator >= 2 * width) break;
    }
    jpeg_start_decompress(&decoder);
    Image image{decoder.output_width, decoder.output_height, {}};
    image.rgb.resize(image.width * image.height * 3);
    while (decoder.output_scanline < decoder.output_height) {
        JSAMPROW row = image.rgb.data() + decoder.output_scanline * image.width * 3;
        jpeg_read_scanlines(&decoder, &row, 1);
    }
    jpeg_finish_decompress(&decoder);
    return image;
}

std::string write_jpeg(const Image& image, int quality) {
    Encoder encoder;
    encoder.image_width = static_cast<JDIMENSION>(image.width);
    encoder.image_height = static_cast<JDIMENSION>(image.height);
    encoder.input_components = 3;
    encoder.in_color_space = JCS_RGB;
    jpeg_set_defaults(&encoder);
    jpeg_set_quality(&encoder, quality, TRUE);
    encoder.optimize_coding = TRUE;
    jpeg_start_compress(&encoder, TRUE);
    while (encoder.next_scanline < encoder.image_height) {
        auto* row =
            const_cast<JSAMPLE*>(image.rgb.data() + encoder.next_scanline * image.width * 3);
        jpeg_write_scanlines(&encoder, &row, 1);
    }
    jpeg_finish_compress(&encoder);
    return {reinterpret_cast<const char*>(encoder.out), encoder.out_bytes};
}
