// YAML as a small bounded tree with line numbers, for readers of manifests.
//
// yaml-cpp does the parsing; what it leaves open is settled here: aliases are expanded, merge keys
// (<<) too, and a key that stands twice, an alias inside its own anchor, a bomb of aliases, a
// second document and nesting without end are errors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fathom::function::yaml {

inline constexpr Bytes kDocumentBytesMax = 1_MiB;
inline constexpr std::size_t kNodesMax = 100'000;  // aliases and merges expanded
inline constexpr int kDepthMax = 64;

struct Value {
    enum class Kind { null, scalar, list, map };

    Kind kind = Kind::null;
    int line = 0;                   // from 1
    std::string text{};             // of a scalar, as written: "1.0" stays "1.0"
    std::string key{};              // of this entry of a map
    int key_line = 0;               // where the key stands; after a merge, where it was merged from
    std::vector<Value> children{};  // of a list or a map, in order

    bool is_null() const { return kind == Kind::null; }
    bool is_scalar() const { return kind == Kind::scalar; }
    bool is_list() const { return kind == Kind::list; }
    bool is_map() const { return kind == Kind::map; }
    // The entry of a map; null when there is none. O(entries).
    const Value* find(std::string_view key) const;
    // "a list", for messages.
    std::string_view kind_name() const;
};

// `name` stands in front of messages: "stack.yml:12: ...". An empty document is a null node.
// Errors: invalid      not YAML, or one of the above
//         too_large    over kDocumentBytesMax
Result<Value> read(std::string_view text, std::string_view name);

}  // namespace fathom::function::yaml
