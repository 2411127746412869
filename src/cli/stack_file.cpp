#include "cli/stack_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>

#include "cli/print.h"

namespace fathom::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTextBytesMax = 1U << 20;

std::string default_path() {
    std::error_code ignored;
    for (const auto* name : {"stack.yaml", "stack.yml"})
        if (fs::exists(name, ignored)) return name;
    return "";
}

// `*` stands for any characters; nothing else is special, as in faas-cli.
bool matches(std::string_view name, std::string_view pattern) {
    const auto star = pattern.find('*');
    if (star == std::string_view::npos) return name == pattern;
    if (!name.starts_with(pattern.substr(0, star))) return false;
    name.remove_prefix(star);
    const auto rest = pattern.substr(star + 1);
    for (;; name.remove_prefix(1)) {
        if (matches(name, rest)) return true;
        if (name.empty()) return false;
    }
}

Result<> keep_matching(function::Stack& stack, const Common& common) {
    if (common.filter.empty() && common.regex.empty()) return {};
    if (!common.filter.empty() && !common.regex.empty())
        return fail(Errc::invalid, "--filter and --regex exclude each other: pass one of them");
    try {
        const std::regex regex(common.regex);
        std::erase_if(stack.functions, [&](const function::StackFunction& each) {
            if (!common.regex.empty()) return !std::regex_search(each.name, regex);
            return !matches(each.name, common.filter);
        });
    } catch (const std::regex_error& error) {
        return fail(Errc::invalid, "--regex \"{}\" is no regular expression: {}", common.regex,
                    error.what());
    }
    if (stack.functions.empty())
        return fail(Errc::invalid, "no function of the stack file matches {} \"{}\"",
                    common.filter.empty() ? "--regex" : "--filter",
                    common.filter.empty() ? common.regex : common.filter);
    return {};
}

}  // namespace

Result<std::string> read_text(const std::string& path) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored))
        return fail(Errc::invalid, "{} is a folder; a file is wanted", path);
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return fail_errno(errno == EACCES ? Errc::forbidden : Errc::not_found, errno,
                          fmt::format("cannot read {}", path));
    std::string text(kTextBytesMax + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kTextBytesMax)
        return fail(Errc::too_large, "{} is over {} bytes", path, kTextBytesMax);
    return text;
}

Result<std::optional<StackFile>> load_stack(Ports& ports, const Common& common) {
    const auto path = common.yaml.empty() ? default_path() : common.yaml;
    if (path.empty()) return std::optional<StackFile>();
    if (path.starts_with("http://") || path.starts_with("https://"))
        return fail(Errc::unsupported, "-f {}: download the stack file first", path);
    auto text = read_text(path);
    if (!text) return fail(std::move(text).error());
    const function::StackOptions options{
        .file_name = path,
        .lookup = ports.environment,
        .strictness =
            common.is_strict ? function::Strictness::strict : function::Strictness::lenient,
        .substitution =
            common.substitute ? function::Substitution::on : function::Substitution::off};
    auto stack = function::read_stack(*text, options);
    if (!stack) return fail(std::move(stack).error());
    for (const auto& warning : stack->warnings) note(ports, "Warning: {}\n", warning);
    if (auto kept = keep_matching(*stack, common); !kept) return fail(std::move(kept).error());
    return std::optional(StackFile{path, std::move(*stack)});
}

std::string beside(const StackFile& file, const std::string& path) {
    std::error_code ignored;
    const auto there = fs::path(file.path).parent_path() / path;
    if (!fs::exists(path, ignored) && fs::exists(there, ignored)) return there.string();
    return path;
}

}  // namespace fathom::cli
