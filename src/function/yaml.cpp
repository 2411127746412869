#include "function/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <map>
#include <optional>
#include <set>
#include <streambuf>

namespace fathom::function::yaml {
namespace {

constexpr std::string_view kMergeKey = "<<";

// What a handler throws to end the parse; never leaves read().
struct Stop {
    int line;
    std::string why;
};

int line_of(const YAML::Mark& mark) {
    return mark.line + 1;
}

std::size_t count_nodes(const Value& node) {
    std::size_t count = 1;
    for (const auto& child : node.children) count += count_nodes(child);
    return count;
}

// Builds the tree out of yaml-cpp's events.
class Builder final : public YAML::EventHandler {
public:
    Value take_root() { return std::move(root_); }
    int documents() const { return documents_; }

    void OnDocumentStart(const YAML::Mark& /*mark*/) override { ++documents_; }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        add({.kind = Value::Kind::null, .line = line_of(mark)}, anchor);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  const std::string& value) override {
        add({.kind = Value::Kind::scalar, .line = line_of(mark), .text = value}, anchor);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto known = anchors_.find(anchor);
        if (known == anchors_.end()) {
            throw Stop{line_of(mark), "the alias stands inside what it names"};
        }
        count(count_nodes(known->second), line_of(mark));
        auto copy = known->second;
        copy.line = line_of(mark);
        place(std::move(copy));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value /*style*/) override {
        open(Value::Kind::list, mark, anchor);
    }
    void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value /*style*/) override {
        open(Value::Kind::map, mark, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override {
        merge(open_.back());
        close();
    }

private:
    struct Open {
        Value node;
        YAML::anchor_t anchor = YAML::NullAnchor;
        std::optional<Value> key;  // read, and its value not yet
        std::set<std::string> keys;
        std::vector<Value> merged;
    };

    void count(std::size_t nodes, int line) {
        nodes_ += nodes;
        if (nodes_ > kNodesMax) {
            throw Stop{line, fmt::format("the document holds over {} values with its aliases "
                                         "expanded",
                                         kNodesMax)};
        }
    }

    void open(Value::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
        count(1, line_of(mark));
        if (open_.size() >= static_cast<std::size_t>(kDepthMax)) {
            throw Stop{line_of(mark),
                       fmt::format("nested too deeply; accepted: {} levels", kDepthMax)};
        }
        open_.push_back({.node = {.kind = kind, .line = line_of(mark)},
                         .anchor = anchor,
                         .key = {},
                         .keys = {},
                         .merged = {}});
    }

    void close() {
        auto done = std::move(open_.back());
        open_.pop_back();
        if (done.anchor != YAML::NullAnchor) {
            count(count_nodes(done.node), done.node.line);  // kept for its aliases: a copy as well
            anchors_[done.anchor] = done.node;
        }
        place(std::move(done.node));
    }

    void add(Value node, YAML::anchor_t anchor) {
        count(1, node.line);
        if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
        place(std::move(node));
    }

    // Puts a whole node where it belongs: root, list, key or value.
    void place(Value node) {
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        auto& parent = open_.back();
        if (parent.node.is_list()) {
            parent.node.children.push_back(std::move(node));
        } else if (!parent.key) {
            place_key(parent, std::move(node));
        } else {
            place_value(parent, std::move(node));
        }
    }

    static void place_key(Open& parent, Value key) {
        if (key.is_null()) key.text = "null";  // yaml-cpp keeps no text: a plain null or ~
        if (key.is_list() || key.is_map()) {
            throw Stop{key.line, fmt::format("a key is {}; accepted: a text", key.kind_name())};
        }
        if (key.text != kMergeKey && !parent.keys.insert(key.text).second) {
            throw Stop{key.line, fmt::format("the key \"{}\" stands twice", key.text)};
        }
        parent.key = std::move(key);
    }

    static void place_value(Open& parent, Value value) {
        const auto key = std::move(*parent.key);
        parent.key.reset();
        if (key.text == kMergeKey) {
            parent.merged.push_back(std::move(value));
            return;
        }
        value.key = key.text;
        value.key_line = key.line;
        if (value.is_null()) value.line = key.line;  // yaml-cpp names the line after
        parent.node.children.push_back(std::move(value));
    }

    // Entries that stand in the map itself win over merged ones, and earlier merged ones over later
    // (yaml.org/type/merge.html).
    static void add_missing(Open& open, const Value& merged) {
        for (const auto& entry : merged.children) {
            if (open.keys.insert(entry.key).second) open.node.children.push_back(entry);
        }
    }
    static void merge(Open& open) {
        for (const auto& value : open.merged) {
            if (value.is_map()) {
                add_missing(open, value);
                continue;
            }
            if (!value.is_list()) throw Stop{value.line, refused_merge(value)};
            for (const auto& each : value.children) {
                if (!each.is_map()) throw Stop{each.line, refused_merge(each)};
                add_missing(open, each);
            }
        }
    }
    static std::string refused_merge(const Value& value) {
        return fmt::format("<< is {}; accepted: a map, or a list of maps", value.kind_name());
    }

    Value root_{.line = 1};
    int documents_ = 0;
    std::size_t nodes_ = 0;
    std::vector<Open> open_;
    std::map<YAML::anchor_t, Value> anchors_;
};

// Lets yaml-cpp read from where the text is.
class ViewBuffer final : public std::streambuf {
public:
    explicit ViewBuffer(std::string_view text) {
        auto* begin = const_cast<char*>(text.data());  // an input buffer is only read
        setg(begin, begin, begin + text.size());
    }
};

}  // namespace

const Value* Value::find(std::string_view wanted) const {
    for (const auto& child : children) {
        if (child.key == wanted) return &child;
    }
    return nullptr;
}

std::string_view Value::kind_name() const {
    switch (kind) {
        case Kind::null:
            return "nothing";
        case Kind::scalar:
            return "a text";
        case Kind::list:
            return "a list";
        case Kind::map:
            return "a map";
    }
    return "";
}

Result<Value> read(std::string_view text, std::string_view name) {
    if (text.size() > kDocumentBytesMax) {
        return fail(Errc::too_large, "{} has {} bytes; accepted: at most {}", name, text.size(),
                    kDocumentBytesMax);
    }
    const auto refuse = [name](int line, std::string_view why) {
        return fail(Errc::invalid, "{}:{}: {}", name, line, why);
    };
    try {
        ViewBuffer buffer(text);
        std::istream stream(&buffer);
        YAML::Parser parser(stream);
        Builder builder;
        parser.HandleNextDocument(builder);
        auto root = builder.take_root();
        parser.HandleNextDocument(builder);
        if (builder.documents() > 1) {
            return fail(Errc::invalid, "{} holds more than one document; accepted: one", name);
        }
        return root;
    } catch (const Stop& stop) {
        return refuse(stop.line, stop.why);
    } catch (const YAML::Exception& error) {
        return refuse(error.mark.is_null() ? 1 : line_of(error.mark), error.msg);
    } catch (const std::exception& error) {
        return refuse(1, error.what());
    }
}

}  // namespace fathom::function::yaml
