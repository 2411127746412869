// A link of an intrusive, circular list: entering and leaving cost a few stores and no memory.
#pragma once

namespace fathom::rt {

// Leaves its list when destroyed. A list is a Link of its own that nobody else is.
class Link {
public:
    Link() = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link() { leave(); }

    bool is_alone() const noexcept { return next_ == this; }
    void leave() noexcept {
        before_->next_ = next_;
        next_->before_ = before_;
        next_ = before_ = this;
    }
    // Enters the list of `other`, just before it: at the end, when `other` is the list itself.
    void enter_before(Link& other) noexcept {
        leave();
        next_ = &other;
        before_ = other.before_;
        before_->next_ = this;
        other.before_ = this;
    }
    // Moves every link of `other` to the end of this list.
    void take_all(Link& other) noexcept {
        if (other.is_alone()) return;
        before_->next_ = other.next_;
        other.next_->before_ = before_;
        before_ = other.before_;
        before_->next_ = this;
        other.next_ = other.before_ = &other;
    }
    Link* next() const noexcept { return next_; }

private:
    Link* next_ = this;
    Link* before_ = this;
};

}  // namespace fathom::rt
