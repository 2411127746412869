#include <sys/stat.h>

#include "cli/credentials.h"
#include "cli/fake_gateway.h"

namespace fathom::cli {
namespace {

class LoginTest : public CommandTest {
protected:
    std::string config() const {
        std::ifstream file(folder + "/.openfaas/config.yml");
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::string authorization() {
        for (const auto& [name, value] : gateway.requests.back().headers)
            if (name == "Authorization") return value;
        return "";
    }
};

TEST_F(LoginTest, KeepsCheckedCredentialsForTheirOwnerOnly) {
    gateway.answer("GET /system/functions", 200, "[]");
    EXPECT_EQ(run({"login", "--password-stdin"}, "secret\n"), 0) << err;
    EXPECT_EQ(out,
              "Calling the gateway to validate the credentials...\n"
              "credentials saved for admin http://127.0.0.1:8080\n");
    EXPECT_EQ(authorization(), "Basic YWRtaW46c2VjcmV0");
    EXPECT_EQ(config(),
              "auths:\n  - gateway: http://127.0.0.1:8080\n    auth: basic\n    token: "
              "YWRtaW46c2VjcmV0\n");
    struct stat facts{};
    ASSERT_EQ(::stat((folder + "/.openfaas/config.yml").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0600U);
    ASSERT_EQ(::stat((folder + "/.openfaas").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0700U);

    EXPECT_EQ(run({"list"}), 0);
    EXPECT_EQ(authorization(), "Basic YWRtaW46c2VjcmV0");
}

TEST_F(LoginTest, KeepsWhatFaasCliWroteForOthers) {
    write(".openfaas/config.yml",
          "auths:\n- gateway: https://other\n  auth: oauth2\n  token: t\n  options:\n  - name: a\n"
          "    value: b\n");
    gateway.answer("GET /system/functions", 200, "[]");
    secret = "typed";
    EXPECT_EQ(run({"login", "-u", "me"}), 0) << err;
    EXPECT_EQ(run({"logout"}), 0) << err;
    EXPECT_EQ(out, "credentials removed for http://127.0.0.1:8080\n");
    EXPECT_NE(config().find("https://other"), std::string::npos);
    EXPECT_NE(config().find("value: b"), std::string::npos);
    EXPECT_EQ(config().find("127.0.0.1"), std::string::npos);
    EXPECT_EQ(run({"logout"}), 1);
    EXPECT_EQ(err, "There are no credentials for http://127.0.0.1:8080\n");
}

TEST_F(LoginTest, KeepsNothingWhenThePasswordIsWrong) {
    gateway.answer("GET /system/functions", 401);
    EXPECT_EQ(run({"login", "-p", "wrong"}), 1);
    EXPECT_NE(err.find("Unable to login, either username or password is incorrect\n"),
              std::string::npos);
    EXPECT_EQ(config(), "");
}

TEST_F(LoginTest, SaysHowToGiveAPassword) {
    EXPECT_EQ(run({"login"}), 1);
    EXPECT_NE(err.find("pass --password-stdin"), std::string::npos);
    EXPECT_EQ(run({"login", "-p", "a", "-s"}), 1);
    EXPECT_EQ(run({"login", "-s"}, "\n"), 1);
    EXPECT_EQ(err, "The password is empty\n");
}

TEST_F(LoginTest, NamesADamagedConfigFile) {
    write(".openfaas/config.yml", "auths: [");
    EXPECT_EQ(run({"list"}), 1);
    EXPECT_NE(err.find(".openfaas/config.yml"), std::string::npos);
}

TEST(Base64, IsThatOfTheRfc) {  // RFC 4648 section 10
    EXPECT_EQ(to_base64(""), "");
    EXPECT_EQ(to_base64("f"), "Zg==");
    EXPECT_EQ(to_base64("fo"), "Zm8=");
    EXPECT_EQ(to_base64("foo"), "Zm9v");
    EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
}

}  // namespace
}  // namespace fathom::cli
