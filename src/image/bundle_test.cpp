#include "image/bundle.h"

#include <gtest/gtest.h>

#include "image/digest.h"

namespace fathom::image {
namespace {

const Manifest kHello{.name = "hello",
                      .language = "python3",
                      .command = {"/usr/bin/python3", "/opt/fathom/python3/runner.py"},
                      .environment = {{"mode", "http"}}};

std::string refusal(std::string_view json) {
    const auto manifest = parse_manifest(json);
    return manifest ? "taken" : manifest.error().message();
}

TEST(Manifest, IsThisText) {  // golden: a changed byte changes every reference
    EXPECT_EQ(to_json(kHello), R"({
  "command": [
    "/usr/bin/python3",
    "/opt/fathom/python3/runner.py"
  ],
  "environment": {
    "mode": "http"
  },
  "format": 1,
  "language": "python3",
  "name": "hello"
}
)");
}

TEST(Manifest, ComesBackAsItWas) {
    const auto manifest = parse_manifest(to_json(kHello));
    ASSERT_TRUE(manifest) << manifest.error().message();
    EXPECT_EQ(*manifest, kHello);
}

TEST(Manifest, NamesTheFieldThatIsWrong) {
    EXPECT_EQ(refusal("[]"), "fathom.json is not a JSON object");
    EXPECT_EQ(refusal("{"), "fathom.json is not a JSON object");
    EXPECT_EQ(refusal(R"({"format":"1"})"),
              "fathom.json: \"format\" must be a whole number from 1");
    EXPECT_EQ(refusal(R"({"format":1,"name":7})"), "fathom.json: \"name\" must be a function name");
    EXPECT_NE(refusal(R"({"format":1,"name":"../x","command":["a"]})").find("../x"),
              std::string::npos);
    EXPECT_EQ(refusal(R"({"format":1,"name":"a"})"),
              "fathom.json: \"command\" must be a list of 1 to 256 texts");
    EXPECT_EQ(refusal(R"({"format":1,"name":"a","command":[""]})"),
              "fathom.json: \"command\" must be a list whose first is a program");
    EXPECT_EQ(refusal(R"({"format":1,"name":"a","command":["x"],"environment":{"a=b":"c"}})"),
              "fathom.json: \"environment\" must be an object of texts, its names without \"=\"");
}

TEST(Manifest, RefusesANewerFormat) {
    EXPECT_EQ(refusal(R"({"format":2})"),
              "the bundle has format 2, this Fathom reads up to 1: update the gateway");
}

TEST(Sha256, IsWhatTheStandardSays) {  // FIPS 180-4, example of one block
    Sha256 digest;
    digest.add("a");
    digest.add("bc");
    EXPECT_EQ(digest.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace fathom::image
